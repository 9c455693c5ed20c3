import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.fine_tuning import set_precision
from rocmr_keras.models import TextEncoder


def test_the_blocks_compute_in_the_new_precision_and_the_rest_stays():
    encoder = TextEncoder(9, 6, 8, num_layers=2, num_heads=2, projection_dim=8)
    token_ids = np.array([[2, 5, 7, 3]], "int32")
    inputs = {"token_ids": token_ids, "padding_mask": token_ids > 0}
    before = ops.convert_to_numpy(encoder(inputs))
    assert set_precision(encoder, "mixed_bfloat16") == list(encoder.blocks)
    x = encoder.blocks[0](np.ones((1, 4, 8), "float32"))
    assert keras.backend.standardize_dtype(x.dtype) == "bfloat16"
    assert {weight.dtype for weight in encoder.weights} == {"float32"}
    after = encoder(inputs)
    assert keras.backend.standardize_dtype(after.dtype) == "float32"
    difference = np.abs(ops.convert_to_numpy(after) - before).max()
    assert 0.0 < difference < 0.1
    set_precision(encoder, "float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(encoder(inputs)), before)


def test_weights_stay_in_float32():
    with pytest.raises(ValueError, match="stay in float32. Received: policy='bfloat16'"):
        set_precision(TextEncoder(9, 6, 8, num_layers=1, num_heads=2), "bfloat16")
