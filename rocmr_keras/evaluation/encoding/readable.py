"""Whole words that a search wrote are read again by the tokenizer, as a person's text would be."""

import keras
import numpy as np

from rocmr_keras.attacks import WholeWords
from rocmr_keras.evaluation.encoding.embeddings import load_queries

# Searches for the next best. Rules of the vocabulary come first, so one is rare.
_MOST_SEARCHES = 3


def must_be_readable(model, attack):
    """Whether an attack writes whole words, and the model's tokenizer can read them again."""
    writes_words = isinstance(getattr(attack, "candidates", None), WholeWords)
    return writes_words and hasattr(model.preprocessor, "reads_back")


def keep_readable(encoded, attack, found, queries, search):
    """Replaces attacked captions that are read as other tokens by the next best ones.

    Args:
        encoded: An `EncodedSplit`.
        attack: The `TokenSubstitution` that found them, with `WholeWords`.
        found: Dict with `embeddings` and `adversarial_token_ids`, which are written to.
        queries: Integer array, the captions.
        search: Callable `(attack, queries)` that returns such a dict.

    Returns:
        `found`; the clean caption where nothing else is left.
    """
    clean = load_queries(encoded.model, encoded.split, "texts", queries)["token_ids"]
    clean = np.asarray(clean)
    forbidden = set(attack.candidates.forbidden)
    for _ in range(_MOST_SEARCHES):
        lost = _lost(encoded.model, found["adversarial_token_ids"], clean)
        if not len(lost):
            return found
        written = found["adversarial_token_ids"][lost]
        forbidden |= set(written[written != clean[lost]].tolist())
        again = search(_without(attack, forbidden), queries[lost])
        for name in ("embeddings", "adversarial_token_ids"):
            found[name][lost] = again[name]
    lost = _lost(encoded.model, found["adversarial_token_ids"], clean)
    found["adversarial_token_ids"][lost] = clean[lost]
    found["embeddings"][lost] = encoded.clean.texts[queries[lost]]
    return found


def _lost(model, token_ids, clean):
    return np.flatnonzero(~model.preprocessor.reads_back(token_ids, clean))


def _without(attack, forbidden):
    """Returns the attack with tokens that it may not write."""
    mask = keras.saving.serialize_keras_object(WholeWords(sorted(forbidden)))
    return type(attack).from_config({**attack.get_config(), "candidates": mask})
