import numpy as np
import pytest
from keras import ops

from rocmr_keras.layers import ResidualBlock

IMAGES = np.random.RandomState(0).normal(size=(2, 4, 4, 16)).astype("float32")


def silu(x):
    return x / (1 + np.exp(-x))


def convolve(x, kernel, bias):
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    result = np.zeros(x.shape[:3] + (kernel.shape[-1],)) + bias
    for row in range(3):
        for column in range(3):
            window = padded[:, row : row + x.shape[1], column : column + x.shape[2]]
            result += window @ kernel[row, column]
    return result


def test_numpy_twin():
    block = ResidualBlock(16, normalization="none")
    random = np.random.RandomState(1)
    block.set_weights([0.1 * random.normal(size=w.shape) for w in block.get_weights()])
    kernel_1, bias_1, kernel_2, bias_2 = block.get_weights()
    hidden = convolve(silu(IMAGES), kernel_1, bias_1)
    expected = IMAGES + convolve(silu(hidden), kernel_2, bias_2)
    np.testing.assert_allclose(ops.convert_to_numpy(block(IMAGES)), expected, atol=1e-5)


@pytest.mark.parametrize("normalization", ["batch", "group", "none"])
def test_starts_as_the_identity(normalization, check_config):
    block = ResidualBlock(16, normalization=normalization, activation="relu")
    np.testing.assert_array_equal(ops.convert_to_numpy(block(IMAGES)), IMAGES)
    check_config(block)


def test_training_reaches_the_batch_statistics():
    block = ResidualBlock(16)
    before = ops.convert_to_numpy(block.norm_1.moving_mean)
    block(IMAGES, training=False)
    np.testing.assert_array_equal(ops.convert_to_numpy(block.norm_1.moving_mean), before)
    block(IMAGES, training=True)
    expected = 0.9 * before + 0.1 * IMAGES.mean(axis=(0, 1, 2))
    moved = ops.convert_to_numpy(block.norm_1.moving_mean)
    np.testing.assert_allclose(moved, expected, atol=1e-5)


def test_bad_normalization():
    with pytest.raises(ValueError, match="Received: normalization='instance'"):
        ResidualBlock(16, normalization="instance")
