"""Keras's convolutions, faster where a backend makes much of little."""

import keras
from keras import ops

from rocmr_keras.backend import convolve
from rocmr_keras.backend import convolve_depthwise


@keras.saving.register_keras_serializable(package="rocmr_keras")
class Conv2D(keras.layers.Conv2D):
    """A `keras.layers.Conv2D`, faster on PyTorch, and in loops on JAX with a CPU.

    Values and gradients are the same to the bit. On JAX there is no forward mode (`jax.jvp`).
    Keras names weights in files by the class, so that this one has the name of Keras's.
    """

    def convolution_op(self, inputs, kernel):
        if self.data_format != "channels_last":
            return super().convolution_op(inputs, kernel)
        return convolve(inputs, kernel, **_options(self))


@keras.saving.register_keras_serializable(package="rocmr_keras")
class DepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """A `keras.layers.DepthwiseConv2D` that is faster on PyTorch, and on JAX with a CPU.

    On JAX with a CPU it is a sum of shifted products, one for each place of the kernel, equal up
    to rounding, and elsewhere the same. With a dilation or a depth multiplier it is Keras's.
    """

    def call(self, inputs):
        if self.data_format != "channels_last":
            return super().call(inputs)
        outputs = convolve_depthwise(inputs, self.kernel, **_options(self))
        if self.use_bias:
            outputs = ops.add(outputs, ops.reshape(self.bias, (1, 1, 1, -1)))
        return self.activation(outputs) if self.activation is not None else outputs


def _options(layer):
    return {
        "strides": layer.strides,
        "padding": layer.padding,
        "dilation_rate": layer.dilation_rate,
    }
