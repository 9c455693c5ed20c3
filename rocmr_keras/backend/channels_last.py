"""Keras's convolutions of images with channels last, faster where a backend makes much of little.

`convolve` and `convolve_depthwise` take `(inputs, kernel, strides, padding, dilation_rate)`, as
`keras.ops.conv` and `keras.ops.depthwise_conv`, and return the same.
"""

import functools

import keras
from keras import ops

if keras.config.backend() == "torch":
    from rocmr_keras.backend.torch_convolutions import convolve
    from rocmr_keras.backend.torch_convolutions import convolve_depthwise
elif keras.config.backend() == "jax":
    from rocmr_keras.backend.jax_convolutions import convolve
    from rocmr_keras.backend.jax_convolutions import convolve_depthwise
else:
    convolve = functools.partial(ops.conv, data_format="channels_last")
    convolve_depthwise = functools.partial(ops.depthwise_conv, data_format="channels_last")

__all__ = ["convolve", "convolve_depthwise"]
