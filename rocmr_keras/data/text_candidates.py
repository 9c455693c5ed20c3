"""Edited captions for attacks that choose among them inside the training step."""

import numpy as np

from rocmr_keras.data.preprocessors.base_preprocessor import encode
from rocmr_keras.data.runtime import tensorflow


def candidate_maker(split, preprocessor, edits):
    """Makes a function that draws and tokenises edits of captions, inside `tf.data`.

    Args:
        split: `rocmr_keras.data.Split`.
        preprocessor: `rocmr_keras.data.Preprocessor`.
        edits: Callable `(caption, key)`, see `rocmr_keras.attacks.CharacterDraws`, with a
            `shape`.

    Returns:
        Callable from an integer tensor `(B, 3)` of image index, caption index and epoch to a
        dict of tensors `(B, *shape, L)`, `candidate_token_ids` and
        `candidate_padding_mask`.
    """
    tf = tensorflow()

    def draw(rows):
        texts = [edits(split.captions[row[1]], (row[2], row[1])) for row in rows.tolist()]
        flat = np.reshape(texts, -1).tolist()
        return np.array(encode(flat), object)

    def make(rows):
        texts = tf.ensure_shape(tf.numpy_function(draw, [rows], "string"), [None])
        tokens = preprocessor.tokenize_graph(texts)
        shape = (-1, *edits.shape, preprocessor.sequence_length)
        return {f"candidate_{name}": tf.reshape(x, shape) for name, x in tokens.items()}

    return make
