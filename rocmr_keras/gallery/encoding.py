"""Embeddings of many items, on whichever backend, a batch of one size at a time."""

import keras

from rocmr_keras.padded_batches import in_batches


class Tower(keras.Model):
    """One side of a dual encoder as a model of its own.

    Args:
        dual_encoder: `DualEncoder`, or an object with its methods.
        modality: `"images"` or `"texts"`.
    """

    def __init__(self, dual_encoder, modality):
        # Keras would else round pixels to half precision before the tower normalises them.
        super().__init__(autocast=False)
        self.dual_encoder = dual_encoder
        self.modality = modality

    def call(self, inputs):
        if self.modality == "images":
            return self.dual_encoder.encode_images(inputs)
        return self.dual_encoder.encode_texts(inputs["token_ids"], inputs["padding_mask"])


def encode_items(tower, inputs, batch_size):
    """Encodes items in batches of one size, so that the tower compiles once.

    Args:
        tower: `Tower`.
        inputs: Array of images, or dict of tokens, one item or more.
        batch_size: Integer.

    Returns:
        Float32 array `(items, dim)`.
    """
    count = len(inputs["token_ids"]) if isinstance(inputs, dict) else len(inputs)

    def step(positions):
        batch = keras.tree.map_structure(lambda x: x[positions], inputs)
        return {"vectors": tower.predict_on_batch(batch)}

    return in_batches(step, count, batch_size)["vectors"].astype("float32")
