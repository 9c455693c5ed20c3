"""Keras's convolutions of images with channels last, faster where a backend makes much of little.

`convolve` and `convolve_depthwise` take the arguments of `keras.ops.conv` and
`keras.ops.depthwise_conv`, and return the same.
"""

import keras

if keras.config.backend() == "torch":
    from rocmr_keras.backend.torch_convolutions import convolve
    from rocmr_keras.backend.torch_convolutions import convolve_depthwise
elif keras.config.backend() == "jax":
    from rocmr_keras.backend.jax_convolutions import convolve
    from rocmr_keras.backend.jax_convolutions import convolve_depthwise
else:
    from keras.ops import conv as convolve
    from keras.ops import depthwise_conv as convolve_depthwise

__all__ = ["convolve", "convolve_depthwise"]
