"""Attacks on strings meet a dual encoder: what a string costs the caption it replaces."""

import keras
import numpy as np
from keras import ops

from rocmr_keras.attacks import Target
from rocmr_keras.attacks import objectives


class TextLosses(keras.Model):
    """Encodes texts, and compares each with the gallery in the name of its owner.

    A `keras.Model`, so that `predict_on_batch` compiles it. Each row of a batch is one
    text, in whoever's place it stands: no other row changes what it scores.

    Args:
        model: A `DualEncoder`.
        objective: Name or callable, what the attack maximises.
        gallery: Float array `(items, dim)`, L2-normalised embeddings.

    Call arguments:
        batch: Dict with `token_ids`, `padding_mask`; of the owners `positives`, bool
            `(batch, items)`, what they look for, and `clean`, `(batch, dim)`, the
            embeddings of their captions; and perhaps `excluded`, bool like `positives`.

    Returns:
        Dict with `embeddings`, `(batch, dim)`, and `losses`, `(batch,)`.
    """

    def __init__(self, model, objective, gallery):
        super().__init__(autocast=False)
        self.dual_encoder = model
        self.objective = objectives.get(objective)
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
        objective: Name or callable, what the attack maximises.
        gallery: Float array `(items, dim)`, the embeddings that captions search.
        relevance: `Relevance` of all captions to the items.
        chunk_size: Int, texts encoded at once, always as many: there is one trace.
            Defaults to `256`.
    """

    def __init__(self, model, objective, gallery, relevance, chunk_size=256):
        self._tokenize = model.preprocessor.tokenize
        self._losses = TextLosses(model, objective, gallery)
        self._relevance = relevance
        self._dim = gallery.shape[1]
        self._chunk_size = chunk_size

    def encode(self, captions, indices):
        """Returns the embeddings `(captions, dim)`, float32, of captions by position."""
        clean = np.zeros((len(captions), self._dim), "float32")
        return self._run(captions, indices, clean)["embeddings"]

    def score_for(self, captions, indices):
        """Returns the `score` with which these captions are attacked.

        Args:
            captions: List of strings.
            indices: Int array `(captions,)`, their positions in the relevance.

        Returns:
            Callable, see `rocmr_keras.attacks.StringAttack`.
        """
        clean = self.encode(captions, indices)

        def score(strings, owners):
            return self._run(strings, indices[owners], clean[owners])["losses"]

        return score

    def _run(self, strings, indices, clean):
        tokens, parts = self._tokenize(strings), []
        for start in range(0, len(strings), self._chunk_size):
            chosen = np.arange(start, min(start + self._chunk_size, len(strings)))
            padded = np.resize(chosen, self._chunk_size)
            batch = {name: values[padded] for name, values in tokens.items()}
            batch.update(self._relevance.ground_truth(indices[padded]), clean=clean[padded])
            output = self._losses.predict_on_batch(batch)
            parts.append({key: value[: len(chosen)] for key, value in output.items()})
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def attack_strings(
    model, captions, indices, attack, gallery, relevance, objective, batch_size, verbose=1
):
    """Attacks captions as strings and encodes what was found.

    Args:
        model: A `DualEncoder` with a preprocessor.
        captions: List of strings.
        indices: Int array `(captions,)`, their positions in the relevance.
        attack: A `StringAttack`, of which a fresh copy is run.
        gallery: Float array `(items, dim)`, the embeddings that captions search.
        relevance: `Relevance` of all captions to the items.
        objective: Name or callable.
        batch_size: Int, captions attacked at once; bounds the memory of their
            candidates.
        verbose: `1` for a progress bar, `0` for none. Defaults to `1`.

    Returns:
        Dict with `embeddings`, `(captions, dim)`, and `adversarial_captions`, a list of
        strings.
    """
    attack = attack.fresh()
    scores = StringScores(model, objective, gallery, relevance)
    starts = range(0, len(captions), batch_size)
    bar = keras.utils.Progbar(len(starts), verbose=verbose, unit_name="batch")
    found = []
    for start in starts:
        chosen = slice(start, start + batch_size)
        score = scores.score_for(captions[chosen], indices[chosen])
        found += attack(captions[chosen], score)
        bar.add(1)
    return {"embeddings": scores.encode(found, indices), "adversarial_captions": found}
