"""Convolutions of PyTorch, which wants channels first.

Keras turns the axes and copies, forwards and backwards; the turned view alone already lies in
memory as PyTorch's convolutions like it best. Values and gradients are the same to the bit.
"""

from keras import ops


def convolve(inputs, kernel, **options):
    return _turned(ops.conv, inputs, kernel, options)


def convolve_depthwise(inputs, kernel, **options):
    return _turned(ops.depthwise_conv, inputs, kernel, options)


def _turned(function, inputs, kernel, options):
    turned = ops.transpose(inputs, (0, 3, 1, 2))
    outputs = function(turned, kernel, data_format="channels_first", **options)
    return ops.transpose(outputs, (0, 2, 3, 1))
