"""Learnt positions."""

import keras
from keras import ops

from rocmr_keras.layers.initializers import PortableNormal


@keras.saving.register_keras_serializable(package="rocmr_keras")
class PositionEmbedding(keras.layers.Layer):
    """Adds a learnt vector per position to a sequence of vectors.

    A sequence may be shorter than the table, never longer.

    Args:
        sequence_length: Integer, number of positions, at least 1.
        embedding_dim: Integer, width of the vectors, at least 1.
        **kwargs: `name`, `trainable`, `dtype` of a Keras layer.

    Call arguments:
        inputs: Float tensor `(B, L, embedding_dim)` with
            `L <= sequence_length`.

    Returns:
        Float tensor of the same shape.

    Raises:
        ValueError: If an argument is below 1 or a sequence is longer than
            the table.

    Example:

    ```python
    positions = rocmr_keras.layers.PositionEmbedding(32, 64)
    placed = positions(np.zeros((2, 12, 64), "float32"))
    ```
    """

    def __init__(self, sequence_length, embedding_dim, **kwargs):
        super().__init__(**kwargs)
        if sequence_length < 1 or embedding_dim < 1:
            raise ValueError(
                "`sequence_length` and `embedding_dim` must be at least 1. "
                f"Received: sequence_length={sequence_length}, "
                f"embedding_dim={embedding_dim}. The length is that of the "
                "longest caption, or the number of patches of an image."
            )
        self.sequence_length = sequence_length
        self.embedding_dim = embedding_dim
        self.build()

    def build(self):
        self.embeddings = self.add_weight(
            shape=(self.sequence_length, self.embedding_dim),
            initializer=PortableNormal(0.02),
            name="embeddings",
        )

    def call(self, inputs):
        length = inputs.shape[1]
        if length is not None and length > self.sequence_length:
            raise ValueError(
                "A sequence must not be longer than the position table. "
                f"Received: inputs.shape={tuple(inputs.shape)}, "
                f"sequence_length={self.sequence_length}. Cut the sequence, "
                "or build the encoder with a larger `sequence_length`."
            )
        table = ops.convert_to_tensor(self.embeddings)
        return inputs + table[: ops.shape(inputs)[1]]

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "sequence_length": self.sequence_length,
                "embedding_dim": self.embedding_dim,
            }
        )
        return config
