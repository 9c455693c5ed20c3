"""A token table whose gradient is right when a token repeats."""

import keras
import numpy as np
from keras import ops

from rocmr_keras.layers.initializers import PortableNormal


def check_rows_of_table(token_ids, rows):
    """Refuses, in a NumPy array, ids that are not in a token table.

    Args:
        token_ids: Integers; only an array is looked at.
        rows: Integer, how many rows the table has, or `None` where that is not known.

    Raises:
        ValueError: If there is one.
    """
    if not isinstance(token_ids, np.ndarray) or not token_ids.size or not rows:
        return
    if token_ids.min() < 0 or token_ids.max() >= rows:
        raise ValueError(
            f"`token_ids` must be from 0 to {rows - 1}, the rows of the token table. "
            f"Received: ids from {token_ids.min()} to {token_ids.max()}. Tokenize with the "
            "preprocessor of the model."
        )


@keras.saving.register_keras_serializable(package="rocmr_keras")
class TokenEmbedding(keras.layers.Layer):
    """Looks up one table row per token.

    Differs from `keras.layers.Embedding` in its gradient: it is always a
    dense `(vocabulary_size, embedding_dim)` tensor. Keras's optimizers treat
    the duplicate rows of TensorFlow's sparse gradients wrongly (a caption
    that says "the" twice would move the table differently from one backend
    to the next). The rows are returned in the dtype of the table, not in a
    lower compute dtype, so that a ball around them is measured exactly.

    Args:
        vocabulary_size: Integer, number of rows, at least 1.
        embedding_dim: Integer, width of a row, at least 1.
        **kwargs: `name`, `trainable`, `dtype` of a Keras layer.

    Call arguments:
        token_ids: Integer tensor of any shape, values in
            `[0, vocabulary_size)`.

    Returns:
        Float tensor of shape `token_ids.shape + (embedding_dim,)`.

    Raises:
        ValueError: If an argument is below 1.

    Example:

    ```python
    table = rocmr_keras.layers.TokenEmbedding(1000, 64)
    rows = table(np.array([[2, 7, 7, 3]]))  # (1, 4, 64)
    ```
    """

    def __init__(self, vocabulary_size, embedding_dim, **kwargs):
        super().__init__(**kwargs)
        if vocabulary_size < 1 or embedding_dim < 1:
            raise ValueError(
                "`vocabulary_size` and `embedding_dim` must be at least 1. "
                f"Received: vocabulary_size={vocabulary_size}, "
                f"embedding_dim={embedding_dim}. The size is that of the "
                "preprocessor's vocabulary."
            )
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.build()

    def build(self):
        self.embeddings = self.add_weight(
            shape=(self.vocabulary_size, self.embedding_dim),
            initializer=PortableNormal(0.02),
            autocast=False,
            name="embeddings",
        )

    def call(self, token_ids):
        return look_up(self.embeddings, token_ids)

    def compute_output_spec(self, token_ids):
        return keras.KerasTensor((*token_ids.shape, self.embedding_dim), self.variable_dtype)

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "vocabulary_size": self.vocabulary_size,
                "embedding_dim": self.embedding_dim,
            }
        )
        return config


def look_up(table, token_ids):
    """Takes the rows of a table, with a gradient that is dense on every backend.

    Args:
        table: Weight or float tensor `(vocabulary_size, D)`.
        token_ids: Integer tensor of any shape.

    Returns:
        Float tensor of shape `token_ids.shape + (D,)`, of the dtype of the table.
    """
    # The product is what makes TensorFlow's gradient dense.
    table = ops.multiply(ops.convert_to_tensor(table), 1.0)
    return ops.take(table, ops.cast(token_ids, "int32"), axis=0)
