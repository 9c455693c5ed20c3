"""Edited captions for attacks that choose among them inside the training step."""

import numpy as np


def candidate_maker(split, preprocessor, edits):
    """Makes a function that draws and tokenises edits of captions.

    Args:
        split: `rocmr_keras.data.Split`.
        preprocessor: `rocmr_keras.data.Preprocessor`.
        edits: Callable `(caption, key)`, see `rocmr_keras.attacks.CharacterDraws`, with a
            `shape`.

    Returns:
        Callable from an epoch and `B` caption indices to a dict of arrays
        `(B, *shape, L)`, `candidate_token_ids` and `candidate_padding_mask`.
    """

    def make(epoch, captions):
        texts = [edits(split.captions[index], (epoch, index)) for index in captions.tolist()]
        tokens = preprocessor.tokenize(np.reshape(texts, -1).tolist())
        shape = (len(captions), *edits.shape, preprocessor.sequence_length)
        return {f"candidate_{name}": rows.reshape(shape) for name, rows in tokens.items()}

    return make
