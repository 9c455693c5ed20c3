import numpy as np
from keras import ops

from rocmr_keras.layers import MaskedAveragePooling

INPUTS = np.array([[[1.0], [3.0]], [[5.0], [7.0]]], "float32")


def pool(*args):
    return ops.convert_to_numpy(MaskedAveragePooling()(*args))


def test_hand_sized():
    padding_mask = np.array([[True, False], [True, True]])
    np.testing.assert_allclose(pool(INPUTS, padding_mask), [[1.0], [6.0]])


def test_without_a_mask_all_count():
    np.testing.assert_allclose(pool(INPUTS), [[2.0], [6.0]])


def test_an_empty_row_gives_zeros():
    padding_mask = np.array([[False, False], [False, True]])
    np.testing.assert_allclose(pool(INPUTS, padding_mask), [[0.0], [7.0]])


def test_float32_whatever_comes_in():
    inputs = ops.cast(INPUTS, "bfloat16")
    assert pool(inputs).dtype == np.float32


def test_config(check_config):
    check_config(MaskedAveragePooling(name="pooling"))
