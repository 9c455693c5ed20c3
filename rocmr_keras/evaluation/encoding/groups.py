import keras
import numpy as np

from rocmr_keras.attacks.joint import JointEncoder
from rocmr_keras.evaluation.encoding.embeddings import Embeddings
from rocmr_keras.evaluation.encoding.embeddings import load_queries


def encode_joint(encoded, attack, groups_per_batch=16, ids=None, keep_inputs=True, keep_seen=False):
    """Attacks every image together with its captions and encodes what was found.

    Args:
        encoded: An `EncodedSplit`.
        attack: A `rocmr_keras.attacks.joint.JointAttack`. A fresh copy is run: the
            result depends on its seeds, not on what it did before.
        groups_per_batch: Integer, ids that are attacked at once, at most. Defaults to `16`.
        ids: Integer array, not empty, the ids that are attacked, or `None` for all. Defaults
            to `None`.
        keep_inputs: Boolean, whether to return the attacked images and tokens as well as
            their embeddings; thousands of images take gigabytes. Defaults to `True`.
        keep_seen: Boolean, whether to return the embeddings of all states that the search has
            compared as well. Defaults to `False`.

    Returns:
        Dict of `embeddings`, the `Embeddings` of the split, clean where an id is not
        attacked; `adversarial_images`, float `(images, height, width, 3)`, and
        `adversarial_token_ids`, integer `(texts, length)`, zero there; `seen`, a list of
        `Embeddings`; `ids`, integer `(groups,)`; `losses`, float `(groups,)`, the margin
        of each group; and `stalled_shares`.
    """
    clean = encoded.clean
    ids = np.unique(clean.image_ids if ids is None else ids)
    # Of equal size, give or take one: a last batch of few would be filled up to the size of others.
    batches = np.array_split(ids, -(-len(ids) // groups_per_batch))
    rows = {"image": _rows(batches, clean.image_ids), "text": _rows(batches, clean.text_ids)}
    # A joint attack has no `fresh`; the copy's seeds are where they began.
    attack = type(attack).from_config(attack.get_config())
    encoder = JointEncoder(encoded.model, attack, clean, len(batches[0]))
    found = _FoundGroups(clean, keep_inputs, keep_seen)
    bar = keras.utils.Progbar(len(batches), verbose=encoded.verbose, unit_name="batch")
    for groups, images, texts in zip(batches, rows["image"], rows["text"]):
        filled = _fill(images, rows["image"]), _fill(texts, rows["text"])
        batch = _batch(encoded, groups, *filled)
        found.add(encoder.predict_on_batch(batch), images, texts, len(groups))
        bar.add(1)
    return {**found.collect(ids), "stalled_shares": attack.stalled_shares()}


class _FoundGroups:
    """What the batches found, put back into the order of the split."""

    def __init__(self, clean, keep_inputs, keep_seen):
        self.clean = clean
        self.keep_inputs = keep_inputs
        self.keep_seen = keep_seen
        # Copies: what no batch attacks stays clean, and `clean` itself is used again.
        self.parts = {
            "image_embeddings": np.array(clean.images),
            "text_embeddings": np.array(clean.texts),
        }
        self.seen = []
        self.losses = []

    def add(self, result, images, texts, num_groups):
        self._put("image_embeddings", result, images)
        self._put("text_embeddings", result, texts)
        if self.keep_inputs:
            self._put("adversarial_images", result, images)
            self._put("adversarial_token_ids", result, texts)
        if self.keep_seen:
            self._add_seen(result, images, texts)
        self.losses.append(result["losses"][:num_groups])

    def _add_seen(self, result, images, texts):
        names = ("seen_image_embeddings", "seen_text_embeddings")
        found = [np.asarray(result[name]) for name in names]
        clean = self.clean
        # Copies: what no batch attacks stays clean in every state.
        self.seen = self.seen or [
            Embeddings(
                np.array(clean.images), np.array(clean.texts), clean.image_ids, clean.text_ids
            )
            for _ in range(found[0].shape[1])
        ]
        for state, embeddings in enumerate(self.seen):
            embeddings.images[images] = found[0][: len(images), state]
            embeddings.texts[texts] = found[1][: len(texts), state]

    def _put(self, name, result, rows):
        value = np.asarray(result[name])
        if name not in self.parts:
            count = len(self.clean.images if "image" in name else self.clean.texts)
            self.parts[name] = np.zeros((count, *value.shape[1:]), value.dtype)
        self.parts[name][rows] = value[: len(rows)]

    def collect(self, ids):
        clean = self.clean
        embeddings = [self.parts.pop(f"{side}_embeddings") for side in ("image", "text")]
        return {
            "embeddings": Embeddings(*embeddings, clean.image_ids, clean.text_ids),
            **self.parts,
            **({"seen": self.seen} if self.keep_seen else {}),
            "ids": ids,
            "losses": np.concatenate(self.losses),
        }


def _rows(batches, ids):
    """Returns the rows of the items of each batch of groups."""
    return [np.flatnonzero(np.isin(ids, groups)) for groups in batches]


def _fill(rows, all_rows):
    """Returns rows of one length for all batches, and which item each of them repeats."""
    # Groups differ in size, and a batch of another shape would be compiled anew.
    size = max(map(len, all_rows))
    sources = np.arange(size)
    sources[len(rows) :] = 0
    return rows[sources], sources.astype("int32")


def _batch(encoded, groups, images, texts):
    model, split, clean = encoded.model, encoded.split, encoded.clean
    return {
        **load_queries(model, split, "images", images[0]),
        **load_queries(model, split, "texts", texts[0]),
        **_places("image", clean.image_ids, groups, *images),
        **_places("text", clean.text_ids, groups, *texts),
    }


def _places(modality, ids, groups, rows, sources):
    # JAX has no 64-bit integers unless told otherwise.
    return {
        f"{modality}_ids": ids[rows].astype("int32"),
        f"{modality}_places": rows.astype("int32"),
        f"{modality}_groups": np.searchsorted(groups, ids[rows]).astype("int32"),
        f"{modality}_sources": sources,
    }
