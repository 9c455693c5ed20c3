import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.layers import PixelNormalization


def test_hand_sized():
    layer = PixelNormalization(mean=(0.5, 0.5, 0.0), std=(0.5, 0.25, 1.0))
    result = layer(np.full((1, 1, 1, 3), 0.75, "float32"))
    np.testing.assert_allclose(ops.convert_to_numpy(result).ravel(), [0.5, 1.0, 0.75])


def test_a_small_change_survives_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = PixelNormalization()
        images = np.full((2, 1, 1, 3), 0.9, "float32")
        images[1] += 1e-4
        result = ops.convert_to_numpy(layer(images))
    finally:
        keras.config.set_dtype_policy("float32")
    assert (result[1] > result[0]).all()


def test_config(check_config):
    check_config(PixelNormalization(mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0)))


def test_bad_std():
    with pytest.raises(ValueError, match=r"every `std` must be above 0. Received: mean="):
        PixelNormalization(std=(1.0, 0.0, 1.0))
