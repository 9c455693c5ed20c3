"""Averages the real positions of a sequence."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="rocmr_keras")
class MaskedAveragePooling(keras.layers.Layer):
    """Averages a sequence over its real positions, in float32.

    Differs from `keras.layers.GlobalAveragePooling1D` in that the mask is a
    plain argument and a sequence without any real position gives zeros
    instead of a division by zero.

    Args:
        **kwargs: `name`, `trainable` of a Keras layer.

    Call arguments:
        inputs: Float tensor `(B, L, D)`.
        padding_mask: Boolean tensor `(B, L)`, True at real positions, or
            `None` for all of them.

    Returns:
        Float32 tensor `(B, D)`.

    Example:

    ```python
    pooling = rocmr_keras.layers.MaskedAveragePooling()
    pooling(np.array([[[1.0], [3.0]]]), np.array([[True, False]]))  # [[1.0]]
    ```
    """

    def __init__(self, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.build()

    def build(self):
        pass

    def call(self, inputs, padding_mask=None):
        inputs = ops.cast(inputs, "float32")
        if padding_mask is None:
            return ops.mean(inputs, axis=1)
        weights = ops.cast(padding_mask, "float32")[:, :, None]
        count = ops.maximum(ops.sum(weights, axis=1), 1.0)
        return ops.sum(inputs * weights, axis=1) / count

    def compute_output_shape(self, inputs_shape, padding_mask_shape=None):
        return (inputs_shape[0], inputs_shape[-1])
