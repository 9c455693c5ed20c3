"""Normalisation of pixels, inside the image tower."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="rocmr_keras")
class PixelNormalization(keras.layers.Layer):
    """Moves pixels from `[0, 1]` to zero mean and unit deviation.

    Lives inside the image encoder, so that an attack's `epsilon` is in pixel
    units. Computes in float32 also under mixed precision: a bfloat16 pixel
    near 1 cannot hold a change of 1/512.

    Args:
        mean: Three floats, one per channel, in units of `[0, 1]`. Defaults
            to those of ImageNet.
        std: Three floats above 0. Defaults to those of ImageNet.
        **kwargs: `name`, `trainable` of a Keras layer.

    Call arguments:
        images: Float tensor `(B, H, W, 3)` in `[0, 1]`.

    Returns:
        Float32 tensor of the same shape.

    Raises:
        ValueError: If the lengths differ or a `std` is not above 0.

    Example:

    ```python
    normalize = rocmr_keras.layers.PixelNormalization()
    centred = normalize(np.full((1, 8, 8, 3), 0.5, "float32"))
    ```
    """

    def __init__(
        self,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        **kwargs,
    ):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        if len(mean) != len(std) or min(std) <= 0:
            raise ValueError(
                "`mean` and `std` must hold one number per channel and every "
                f"`std` must be above 0. Received: mean={mean}, std={std}. "
                "Use mean=(0, 0, 0), std=(1, 1, 1) to leave pixels alone."
            )
        self.mean = tuple(float(value) for value in mean)
        self.std = tuple(float(value) for value in std)
        self.build()

    def build(self):
        pass

    def call(self, images):
        mean = ops.convert_to_tensor(self.mean, dtype="float32")
        std = ops.convert_to_tensor(self.std, dtype="float32")
        return (ops.cast(images, "float32") - mean) / std

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "mean": list(self.mean),
                "std": list(self.std),
            }
        )
        return config
