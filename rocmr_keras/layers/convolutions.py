"""Keras's convolutions without the copy that they make on PyTorch."""

import keras
from keras import ops


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
    """A `keras.layers.DepthwiseConv2D` that is faster on PyTorch, see `Conv2D`."""

    def call(self, inputs):
        if not _turns(self.data_format):
            return super().call(inputs)
        outputs = _turned(ops.depthwise_conv, inputs, self.kernel, _options(self))
        if self.use_bias:
            outputs = ops.add(outputs, ops.reshape(self.bias, (1, 1, 1, -1)))
        return self.activation(outputs) if self.activation is not None else outputs


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
