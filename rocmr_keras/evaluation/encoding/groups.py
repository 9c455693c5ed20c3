import keras
import numpy as np

from rocmr_keras.attacks.joint import JointEncoder
from rocmr_keras.evaluation.encoding.queries import Embeddings


def encode_joint(
    model, split, attack, clean, groups_per_batch=16, verbose=1, ids=None, keep_inputs=True
):
    """Attacks every image together with its captions and encodes what was found.

    Args:
        model: A `DualEncoder` with a preprocessor.
        split: A `rocmr_keras.data.Split`.
        attack: A `rocmr_keras.attacks.joint.JointAttack`. A fresh copy is run: the
            result depends on its seeds, not on what it did before.
        clean: `Embeddings` of the split.
        groups_per_batch: Int, ids that are attacked at once. Defaults to `16`.
        verbose: `1` for a progress bar, `0` for none. Defaults to `1`.
        ids: Int array, not empty, the ids that are attacked; all by default.
        keep_inputs: Bool, whether to return the attacked images and tokens as well as
            their embeddings; thousands of images take gigabytes. Defaults to `True`.

    Returns:
        Dict of `embeddings`, the `Embeddings` of the split, clean where an id is not
        attacked; `adversarial_images`, float `(images, height, width, 3)`, and
        `adversarial_token_ids`, int `(texts, length)`, zero there; `ids`, int `(groups,)`;
        `losses`, float `(groups,)`, the margin of each group; and `stalled_shares`.
    """
    ids = np.unique(clean.image_ids if ids is None else ids)
    chunks = [ids[k : k + groups_per_batch] for k in range(0, len(ids), groups_per_batch)]
    groups_per_batch = min(groups_per_batch, len(ids))
    rows = {"image": _rows(chunks, clean.image_ids), "text": _rows(chunks, clean.text_ids)}
    galleries = (clean.images, clean.texts, clean.image_ids, clean.text_ids)
    attack = type(attack).from_config(attack.get_config())
    encoder = JointEncoder(model, attack, *galleries, groups_per_batch)
    found = _Found(clean, keep_inputs)
    bar = keras.utils.Progbar(len(chunks), verbose=verbose, unit_name="batch")
    for chunk, images, texts in zip(chunks, rows["image"], rows["text"]):
        filled = _fill(images, rows["image"]), _fill(texts, rows["text"])
        batch = _batch(model, split, clean, chunk, *filled)
        found.add(encoder.predict_on_batch(batch), images, texts, len(chunk))
        bar.add(1)
    return {**found.collect(ids), "stalled_shares": attack.stalled_shares()}


class _Found:
    """What the batches found, put back into the order of the split."""

    def __init__(self, clean, keep_inputs):
        self.clean = clean
        self.keep_inputs = keep_inputs
        self.parts = {
            "image_embeddings": np.array(clean.images),
            "text_embeddings": np.array(clean.texts),
        }
        self.losses = []

    def add(self, result, images, texts, num_groups):
        self._put("image_embeddings", result, images)
        self._put("text_embeddings", result, texts)
        if self.keep_inputs:
            self._put("adversarial_images", result, images)
            self._put("adversarial_token_ids", result, texts)
        self.losses.append(result["losses"][:num_groups])

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
            "ids": ids,
            "losses": np.concatenate(self.losses),
        }


def _rows(chunks, ids):
    """Returns the rows of each chunk's items."""
    return [np.flatnonzero(np.isin(ids, chunk)) for chunk in chunks]


def _fill(rows, all_rows):
    """Returns rows of one length for all batches, and which item each of them repeats."""
    size = max(map(len, all_rows))
    sources = np.arange(size)
    sources[len(rows) :] = 0
    return rows[sources], sources.astype("int32")


def _batch(model, split, clean, chunk, images, texts):
    preprocessor = model.preprocessor
    (image_rows, image_sources), (text_rows, text_sources) = images, texts
    tokens = preprocessor.tokenize([split.captions[row] for row in text_rows])
    return {
        "images": preprocessor.load_images([split.images[row] for row in image_rows]),
        **tokens,
        **_places("image", clean.image_ids, image_rows, image_sources, chunk),
        **_places("text", clean.text_ids, text_rows, text_sources, chunk),
    }


def _places(modality, ids, rows, sources, chunk):
    return {
        f"{modality}_ids": ids[rows].astype("int32"),
        f"{modality}_places": rows.astype("int32"),
        f"{modality}_groups": np.searchsorted(chunk, ids[rows]).astype("int32"),
        f"{modality}_sources": sources,
    }
