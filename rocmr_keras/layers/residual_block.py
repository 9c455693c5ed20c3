"""The plain residual block of the convolutional tower."""

import keras

from rocmr_keras.layers import parts


@keras.saving.register_keras_serializable(package="rocmr_keras")
class ResidualBlock(keras.layers.Layer):
    """Two 3x3 convolutions on a residual branch, width and size unchanged.

    Each convolution follows a normalisation and an activation. The second
    kernel starts at zero, so that the block starts as the identity and a
    net without any normalisation trains too.

    Args:
        filters: Integer, number of channels.
        normalization: `"batch"`, `"group"` or `"none"`. Defaults to
            `"batch"`.
        activation: Name of the activation; a smooth one gives the attack
            and the defence smoother gradients. Defaults to `"silu"`.
        **kwargs: `name`, `trainable`, `dtype` of a Keras layer.

    Call arguments:
        inputs: Float tensor `(B, H, W, filters)`.
        training: Boolean, whether batch statistics are used and moved.

    Returns:
        Float tensor of the shape of `inputs`.

    Raises:
        ValueError: If `normalization` is none of the three.

    Example:

    ```python
    block = rocmr_keras.layers.ResidualBlock(32)
    outputs = block(np.zeros((2, 16, 16, 32), "float32"))
    ```

    Reference:
        - [He et al., 2016](https://arxiv.org/abs/1603.05027)
        - [Xie et al., 2020](https://arxiv.org/abs/2006.14536), smooth
          activations in adversarial training
    """

    def __init__(self, filters, normalization="batch", activation="silu", **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.normalization = normalization
        self.activation = keras.activations.get(activation)
        self.build((None, None, None, filters))

    def build(self, input_shape):
        width, policy = self.filters, self.dtype_policy
        self.norm_1 = parts.image_norm(self.normalization, width, "norm_1", policy)
        self.conv_1 = parts.convolution(width, width, "conv_1", policy)
        self.norm_2 = parts.image_norm(self.normalization, width, "norm_2", policy)
        self.conv_2 = parts.convolution(width, width, "conv_2", policy, kernel_initializer="zeros")

    def call(self, inputs, training=None):
        # `training` reaches the normalisation through Keras's call context.
        x = self.conv_1(self.activation(self.norm_1(inputs)))
        x = self.conv_2(self.activation(self.norm_2(x)))
        return inputs + x

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "filters": self.filters,
                "normalization": self.normalization,
                "activation": keras.activations.serialize(self.activation),
            }
        )
        return config
