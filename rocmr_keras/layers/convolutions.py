"""Keras's convolutions, faster where a backend makes much of little."""

import keras
from keras import ops

from rocmr_keras.backend import has_slow_depthwise_convolutions


@keras.saving.register_keras_serializable(package="rocmr_keras")
class Conv2D(keras.layers.Conv2D):
    """A `keras.layers.Conv2D` that is faster on PyTorch and the same elsewhere.

    PyTorch wants channels first. Keras turns the axes and copies, forwards and backwards;
    the turned view alone already lies in memory as PyTorch's convolutions like it best.
    Values and gradients are the same to the bit. Keras names weights in files by the class, so
    that this one has the name of Keras's.
    """

    def convolution_op(self, inputs, kernel):
        if not _turns(self.data_format):
            return super().convolution_op(inputs, kernel)
        return _turned(ops.conv, inputs, kernel, _options(self))


@keras.saving.register_keras_serializable(package="rocmr_keras")
class DepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """A `keras.layers.DepthwiseConv2D` that is faster on PyTorch, and on JAX with a CPU.

    For PyTorch see `Conv2D`. On JAX with a CPU it is a sum of shifted products, one for each place
    of the kernel, equal up to rounding. With a dilation or a depth multiplier it is Keras's.
    """

    def call(self, inputs):
        if _turns(self.data_format):
            outputs = _turned(ops.depthwise_conv, inputs, self.kernel, _options(self))
        elif self._is_plain() and has_slow_depthwise_convolutions():
            outputs = _sum_of_shifts(inputs, self.kernel, self.strides, self.padding)
        else:
            return super().call(inputs)
        if self.use_bias:
            outputs = ops.add(outputs, ops.reshape(self.bias, (1, 1, 1, -1)))
        return self.activation(outputs) if self.activation is not None else outputs

    def _is_plain(self):
        one_by_one = self.depth_multiplier == 1 and set(self.dilation_rate) == {1}
        return one_by_one and self.data_format == "channels_last"


def _turns(data_format):
    # TensorFlow has no convolution of channels first on CPUs.
    return keras.config.backend() == "torch" and data_format == "channels_last"


def _turned(function, inputs, kernel, options):
    turned = ops.transpose(inputs, (0, 3, 1, 2))
    outputs = function(turned, kernel, data_format="channels_first", **options)
    return ops.transpose(outputs, (0, 2, 3, 1))


def _options(layer):
    return {
        "strides": layer.strides,
        "padding": layer.padding,
        "dilation_rate": layer.dilation_rate,
    }


def _sum_of_shifts(inputs, kernel, strides, padding):
    """Returns the depthwise convolution, summed in float32 as convolutions do."""
    sizes = zip(inputs.shape[1:3], kernel.shape[:2], strides)
    margins, places = zip(*(_margins_and_places(*size, padding) for size in sizes))
    padded = ops.cast(ops.pad(inputs, ((0, 0), *margins, (0, 0))), "float32")
    kernel = ops.cast(kernel, "float32")
    total = 0.0
    for row, rows in enumerate(places[0]):
        for column, columns in enumerate(places[1]):
            total += padded[:, rows, columns] * kernel[row, column, :, 0]
    return ops.cast(total, inputs.dtype)


def _margins_and_places(size, width, stride, padding):
    """Returns the zeros before and after an axis, and what each place of a kernel meets of it."""
    count = (size - width) // stride + 1 if padding == "valid" else -(-size // stride)
    last = (count - 1) * stride
    missing = max(0, last + width - size)
    places = [slice(first, first + last + 1, stride) for first in range(width)]
    return (missing // 2, missing - missing // 2), places
