import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.models import TextEncoder

TOKEN_IDS = np.array([[2, 7, 7, 3, 0], [2, 5, 3, 0, 0], [0, 0, 0, 0, 0]], "int32")
PADDING_MASK = TOKEN_IDS != 0


def small_encoder(**kwargs):
    arguments = dict(vocabulary_size=9, sequence_length=6, embedding_dim=8, num_layers=1)
    return TextEncoder(**{**arguments, "num_heads": 2, "projection_dim": 6, **kwargs})


@pytest.fixture(scope="module")
def encoder():
    return small_encoder()


def encode(encoder, token_ids, padding_mask):
    inputs = {"token_ids": token_ids, "padding_mask": padding_mask}
    return ops.convert_to_numpy(encoder(inputs))


def test_call_is_embed_and_encode(encoder):
    rows = encoder.embed(TOKEN_IDS)
    table = ops.convert_to_numpy(encoder.embedding_table)
    np.testing.assert_array_equal(ops.convert_to_numpy(rows), table[TOKEN_IDS])
    halves = ops.convert_to_numpy(encoder.encode(rows, PADDING_MASK))
    np.testing.assert_allclose(encode(encoder, TOKEN_IDS, PADDING_MASK), halves, atol=1e-6)
    assert halves.shape == (3, 6)


def test_more_padding_changes_nothing(encoder):
    longer = np.pad(TOKEN_IDS, ((0, 0), (0, 1)))
    first = encode(encoder, TOKEN_IDS, PADDING_MASK)
    np.testing.assert_allclose(encode(encoder, longer, longer != 0), first, atol=1e-6)


def test_what_stands_under_the_padding_changes_nothing(encoder):
    other = np.where(PADDING_MASK, TOKEN_IDS, 8)
    first = encode(encoder, TOKEN_IDS, PADDING_MASK)
    np.testing.assert_allclose(encode(encoder, other, PADDING_MASK), first, atol=1e-6)


def test_word_order_counts(encoder):
    swapped = TOKEN_IDS[:, [0, 2, 1, 3, 4]]
    first = encode(encoder, TOKEN_IDS, PADDING_MASK)
    assert np.abs(encode(encoder, swapped, swapped != 0)[1] - first[1]).max() > 1e-5


def test_an_empty_row_is_zero(encoder):
    result = encode(encoder, TOKEN_IDS, PADDING_MASK)
    np.testing.assert_array_equal(result[2], np.zeros(6))
    assert np.abs(result[:2]).max() > 0


def test_bag_of_subwords_by_hand():
    encoder = small_encoder(num_layers=0)
    table = np.random.RandomState(0).normal(size=(9, 8))
    encoder.set_weights([table, np.zeros((6, 8)), np.ones(8), np.zeros(8), np.eye(8, 6)])
    rows = table[TOKEN_IDS]
    rows = (rows - rows.mean(-1, keepdims=True)) / np.sqrt(rows.var(-1, keepdims=True) + 1e-5)
    weights = PADDING_MASK[:, :, None]
    expected = (rows * weights).sum(1) / np.maximum(weights.sum(1), 1)
    result = encode(encoder, TOKEN_IDS, PADDING_MASK)
    np.testing.assert_allclose(result, expected[:, :6], atol=1e-5)


def test_mixed_precision_begins_and_ends_in_float32(check_config):
    encoder = small_encoder(dtype="mixed_bfloat16", dropout=0.1, mlp_dim=10)
    assert ops.convert_to_numpy(encoder.embed(TOKEN_IDS)).dtype == np.float32
    specs = {
        "token_ids": keras.KerasTensor((None, 5), "int32"),
        "padding_mask": keras.KerasTensor((None, 5), "bool"),
    }
    outputs = encoder.compute_output_spec(specs)
    assert outputs.shape == (None, 6) and outputs.dtype == "float32"
    assert encoder.blocks[0].compute_dtype == "bfloat16"
    check_config(encoder)


def test_bad_arguments(encoder):
    with pytest.raises(ValueError, match="0 or more. Received: num_layers=-1"):
        small_encoder(num_layers=-1)
    with pytest.raises(ValueError, match="longer than the position table"):
        encode(encoder, np.zeros((1, 7), "int32"), np.ones((1, 7), bool))
