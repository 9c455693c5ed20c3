import numpy as np
import pytest
from keras import ops

from rocmr_keras.layers import parts


def test_dense_keeps_the_variance():
    layer = parts.dense(400, 300, "dense")
    assert np.std(ops.convert_to_numpy(layer.kernel)) == pytest.approx(0.05, rel=0.02)


def test_convolution_has_the_variance_of_he():
    layer = parts.convolution(50, 40, "convolution", strides=2)
    expected = np.sqrt(2 / (9 * 50))
    assert np.std(ops.convert_to_numpy(layer.kernel)) == pytest.approx(expected, rel=0.05)
    assert layer.compute_output_shape((None, 8, 8, 50)) == (None, 4, 4, 40)


@pytest.mark.parametrize("dim, groups", [(32, 2), (24, 1)])
def test_groups_hold_16_channels(dim, groups):
    assert parts.image_norm("group", dim, "norm").groups == groups


def test_bad_normalization():
    with pytest.raises(ValueError, match="must be one of .* Received: normalization='layer'"):
        parts.image_norm("layer", 8, "norm")
