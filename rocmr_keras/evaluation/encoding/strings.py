"""Scores strings for attacks on them: the loss of a string in place of its caption."""

import contextlib
import json

import keras
import numpy as np
from keras import ops

from rocmr_keras.attacks import Target
from rocmr_keras.attacks import objectives
from rocmr_keras.evaluation.encoding.kept_encoders import kept_encoders
from rocmr_keras.metrics.caption_changes import text_changes
from rocmr_keras.padded_batches import in_batches

_BATCH_SIZE = 256


class TextLosses(keras.Model):
    """Encodes candidate texts and computes the loss of each in place of its caption.

    A `keras.Model`, so that `predict_on_batch` compiles it. Each row of a batch is a
    candidate for one caption, its owner. The loss of a row depends on that row only.

    Args:
        model: A `DualEncoder`.
        objective: String or callable, what the attack maximises.
        gallery: Float array `(items, dim)`, L2-normalised embeddings.

    Call arguments:
        batch: Dict with `token_ids`, `padding_mask`; of the owners `positives`, boolean
            `(batch, items)`, the right items, and `clean`, `(batch, dim)`, the embeddings of
            these captions; and perhaps `excluded`, boolean like `positives`.

    Returns:
        Dict with `embeddings`, `(batch, dim)`, and `losses`, `(batch,)`.
    """

    def __init__(self, model, objective, gallery):
        # Under a mixed policy Keras would else cast `clean` to half precision on entry.
        super().__init__(autocast=False)
        self.dual_encoder = model
        self.objective = objectives.get(objective)
        # A weight, not a Python array: the compiled step does not embed it.
        self.gallery = self.add_weight(
            shape=gallery.shape, dtype="float32", trainable=False, name="gallery"
        )
        self.gallery.assign(gallery)
        self.built = True
        self.compile()

    def call(self, batch):
        model = self.dual_encoder
        embeddings = model.encode_texts(batch["token_ids"], batch["padding_mask"], training=False)
        target = Target(
            gallery=ops.convert_to_tensor(self.gallery),
            positives=batch["positives"],
            scale=model.scale(),
            clean=batch["clean"],
            excluded=batch.get("excluded"),
        )
        return {"embeddings": embeddings, "losses": self.objective(embeddings, target)}


class StringScores:
    """Makes the `score` of a `StringAttack` from a dual encoder and a gallery.

    Args:
        model: A `DualEncoder` with a preprocessor.
        objective: String or callable, what the attack maximises.
        searched: The `SearchedGallery` of the captions.
        batch_size: Integer, texts encoded at once, always as many: there is one trace.
            Defaults to `256`.
        losses: `TextLosses` of these, compiled for this batch size, or `None` for new ones.
            Defaults to `None`.
    """

    def __init__(self, model, objective, searched, batch_size=_BATCH_SIZE, losses=None):
        self._tokenize = model.preprocessor.tokenize
        self._losses = losses or TextLosses(model, objective, searched.embeddings)
        self._searched = searched
        self._batch_size = batch_size

    def encode(self, captions, queries):
        """Returns the embeddings `(captions, dim)`, float32, of captions by position."""
        # Nobody asks for the losses, which are computed all the same.
        clean = np.zeros((len(captions), self._searched.embeddings.shape[1]), "float32")
        return self._run(captions, queries, clean)["embeddings"]

    def score_for(self, captions, queries):
        """Returns the `score` with which these captions are attacked.

        Args:
            captions: List of strings.
            queries: Integer array `(captions,)`, their positions in the split.

        Returns:
            Callable, see `rocmr_keras.attacks.StringAttack`.
        """
        clean = self.encode(captions, queries)

        def score(strings, owners):
            return self._run(strings, queries[owners], clean[owners])["losses"]

        return score

    def _run(self, strings, queries, clean):
        tokens, relevance = self._tokenize(strings), self._searched.relevance

        def step(rows):
            batch = {name: values[rows] for name, values in tokens.items()}
            batch.update(relevance.ground_truth(queries[rows]), clean=clean[rows])
            return self._losses.predict_on_batch(batch)

        # Always full batches: a search scores another number of strings in each round, and
        # each new size would be compiled anew.
        return in_batches(step, len(strings), self._batch_size)


def attack_strings(encoded, attack, objective, searched, queries=None):
    """Attacks captions as strings and encodes what was found.

    Args:
        encoded: An `EncodedSplit`. Its `batch_size` is the number of captions attacked at
            once; it bounds the memory of the strings that are tried for them.
        attack: A `StringAttack`, of which a fresh copy is run.
        objective: String or callable.
        searched: The `SearchedGallery` of the captions.
        queries: As in `encode_attacked`.

    Returns:
        Dict with `embeddings`, `(queries, dim)`, `adversarial_captions`, a list of strings,
        and `text_changes`, see `rocmr_keras.metrics.text_changes`.
    """
    captions = encoded.split.captions
    queries = np.arange(len(captions)) if queries is None else np.asarray(queries)
    captions = [captions[row] for row in queries]
    attack = attack.fresh()
    starts = range(0, len(captions), encoded.batch_size)
    bar = keras.utils.Progbar(len(starts), verbose=encoded.verbose, unit_name="batch")
    found = []
    with _scores(encoded.model, objective, searched) as scores:
        for start in starts:
            chosen = slice(start, start + encoded.batch_size)
            score = scores.score_for(captions[chosen], queries[chosen])
            found += attack(captions[chosen], score)
            bar.add(1)
        embeddings = scores.encode(found, queries)
    return {
        "embeddings": embeddings,
        "adversarial_captions": found,
        "text_changes": text_changes(captions, found),
    }


@contextlib.contextmanager
def _scores(model, objective, searched):
    """Lends `StringScores`, compiled before for galleries of this size or not."""
    key = "strings", _named(objective), searched.embeddings.shape
    gallery = searched.embeddings
    lent = kept_encoders(model).borrow(key, lambda: TextLosses(model, objective, gallery))
    with lent as losses:
        losses.gallery.assign(gallery)
        yield StringScores(model, objective, searched, losses=losses)


def _named(objective):
    """What a compiled step depends on: two objects of equal settings do the same."""
    if hasattr(objective, "get_config"):
        return type(objective), json.dumps(objective.get_config(), sort_keys=True)
    return objective
