import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import value_and_grad
from rocmr_keras.backend import convolve
from rocmr_keras.layers import Conv2D
from rocmr_keras.layers import DepthwiseConv2D

IMAGES = np.random.RandomState(0).normal(size=(2, 9, 7, 4)).astype("float32")
PAIRS = {
    "plain": (Conv2D, keras.layers.Conv2D, {"filters": 6, "kernel_size": 3}),
    "strided": (
        Conv2D,
        keras.layers.Conv2D,
        {"filters": 6, "kernel_size": 2, "strides": 2, "padding": "same", "activation": "tanh"},
    ),
    "grouped": (
        Conv2D,
        keras.layers.Conv2D,
        {"filters": 6, "kernel_size": 3, "groups": 2, "dilation_rate": 2, "use_bias": False},
    ),
    "depthwise": (
        DepthwiseConv2D,
        keras.layers.DepthwiseConv2D,
        {"kernel_size": 3, "strides": 2, "padding": "same", "activation": "tanh"},
    ),
    "depthwise, large": (
        DepthwiseConv2D,
        keras.layers.DepthwiseConv2D,
        {"kernel_size": (5, 4), "strides": (3, 3), "padding": "same"},
    ),
    "depthwise, valid": (
        DepthwiseConv2D,
        keras.layers.DepthwiseConv2D,
        {"kernel_size": (3, 2), "strides": (2, 2), "use_bias": False},
    ),
    "depthwise without bias": (
        DepthwiseConv2D,
        keras.layers.DepthwiseConv2D,
        {"kernel_size": (2, 3), "depth_multiplier": 2, "use_bias": False},
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_same_as_keras(name):
    ours, theirs, options = PAIRS[name]
    layer, twin = ours(**options), theirs(**options)
    layer.build(IMAGES.shape)
    layer.set_weights([w + 0.1 for w in layer.get_weights()])
    twin.build(IMAGES.shape)
    twin.set_weights(layer.get_weights())
    results = []
    for one in (layer, twin):

        def losses(images, one=one):
            return ops.sum(ops.square(one(images)), axis=(1, 2, 3))

        _, gradient = value_and_grad(losses)(ops.convert_to_tensor(IMAGES))
        results.append((one(IMAGES), gradient))
    # To the bit, but where JAX adds up shifted products.
    tolerance = 1e-5 * (keras.config.backend() == "jax" and ours is DepthwiseConv2D)
    for mine, kerass in zip(*results):
        pair = map(ops.convert_to_numpy, (mine, kerass))
        np.testing.assert_allclose(*pair, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "strides, padding, size",
    [((1, 1), "same", (3, 2)), ((2, 3), "same", (5, 4)), ((2, 3), "valid", (3, 2))],
)
def test_gradient_by_the_kernel(strides, padding, size):
    kernel = np.random.RandomState(1).normal(size=(*size, 4, 6)).astype("float32")
    options = {"strides": strides, "padding": padding, "dilation_rate": (1, 1)}
    gradients = []
    for function in (convolve, ops.conv):

        def losses(kernel, function=function):
            outputs = function(ops.convert_to_tensor(IMAGES), kernel, **options)
            return ops.sum(ops.square(outputs), axis=(1, 2, 3))

        _, gradient = value_and_grad(losses)(ops.convert_to_tensor(kernel))
        gradients.append(ops.convert_to_numpy(gradient))
    np.testing.assert_allclose(*gradients, rtol=1e-5, atol=1e-4)


def test_depthwise_sums_in_half_precision():
    options = {"kernel_size": 5, "padding": "same", "dtype": "mixed_bfloat16"}
    layer, exact = DepthwiseConv2D(**options), DepthwiseConv2D(5, padding="same")
    for one in (layer, exact):
        one.build(IMAGES.shape)
    exact.set_weights(layer.get_weights())
    found, expected = layer(IMAGES), ops.convert_to_numpy(exact(IMAGES))
    assert keras.backend.standardize_dtype(found.dtype) == "bfloat16"
    rounded = ops.convert_to_numpy(ops.cast(found, "float32"))
    # Inputs, kernel and sum are rounded to 8 bits each, but no part of the sum.
    np.testing.assert_allclose(rounded, expected, atol=0.02 * np.abs(expected).max())


def test_rebuilt_from_its_config():
    layer = DepthwiseConv2D(3, padding="same")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(copy) is DepthwiseConv2D
    assert copy.get_config() == layer.get_config()
