"""Embeddings of many items, on whichever backend, a batch of one size at a time."""

import keras
import numpy as np


class Tower(keras.Model):
    """One side of a dual encoder as a model of its own.

    Args:
        dual_encoder: `DualEncoder`, or an object with its methods.
        modality: `"images"` or `"texts"`.
    """

    def __init__(self, dual_encoder, modality):
        super().__init__(autocast=False)
        self.dual_encoder = dual_encoder
        self.modality = modality

    def call(self, inputs):
        if self.modality == "images":
            return self.dual_encoder.encode_images(inputs)
        return self.dual_encoder.encode_texts(inputs["token_ids"], inputs["padding_mask"])


def encode_batch(tower, inputs, batch_size):
    """Encodes up to `batch_size` items, filled up to that number, so that it compiles once.

    Args:
        tower: `Tower`.
        inputs: Array of images, or dict of tokens, one item or more.
        batch_size: Int.

    Returns:
        Float32 array `(items, dim)`.
    """
    count = len(inputs["token_ids"]) if isinstance(inputs, dict) else len(inputs)
    padded = keras.tree.map_structure(lambda x: np.resize(x, (batch_size, *x.shape[1:])), inputs)
    return np.asarray(tower.predict_on_batch(padded), "float32")[:count]
