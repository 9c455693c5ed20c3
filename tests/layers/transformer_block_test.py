import math

import numpy as np
import pytest
from keras import ops

from rocmr_keras.layers import TransformerBlock

RANDOM = np.random.RandomState(0)
INPUTS = RANDOM.normal(size=(3, 5, 8)).astype("float32")
PADDING_MASK = np.arange(5) < np.array([[5], [3], [1]])


@pytest.fixture(scope="module")
def block():
    block = TransformerBlock(8, num_heads=2)
    block.set_weights([0.3 * RANDOM.normal(size=w.shape) for w in block.get_weights()])
    return block


def layer_norm(x, gamma, beta):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * gamma + beta


def attend(x, padding_mask, weights):
    query, key, value = (
        np.einsum("bld,dhk->bhlk", x, weights[i]) + weights[i + 1][None, :, None] for i in (0, 2, 4)
    )
    scores = query @ key.swapaxes(2, 3) / np.sqrt(query.shape[-1])
    scores = np.where(padding_mask[:, None, None], scores, -np.inf)
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    scores /= scores.sum(-1, keepdims=True)
    return np.einsum("bhlk,hkd->bld", scores @ value, weights[6]) + weights[7]


def twin(x, padding_mask, weights):
    x = x + attend(layer_norm(x, *weights[:2]), padding_mask, weights[2:10])
    hidden = layer_norm(x, *weights[10:12]) @ weights[12] + weights[13]
    hidden = hidden * 0.5 * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2)))
    return x + hidden @ weights[14] + weights[15]


def test_numpy_twin(block):
    result = ops.convert_to_numpy(block(INPUTS, padding_mask=PADDING_MASK))
    expected = twin(INPUTS.astype("float64"), PADDING_MASK, block.get_weights())
    np.testing.assert_allclose(result, expected, atol=2e-5)


def test_padding_does_not_reach_the_real_positions(block):
    other = INPUTS.copy()
    other[1, 3:] = 9.0
    first = ops.convert_to_numpy(block(INPUTS, padding_mask=PADDING_MASK))
    second = ops.convert_to_numpy(block(other, padding_mask=PADDING_MASK))
    np.testing.assert_allclose(first[1, :3], second[1, :3], atol=1e-6)


def test_a_row_without_real_positions_is_finite(block):
    padding_mask = np.arange(5) < np.array([[5], [0], [0]])
    result = ops.convert_to_numpy(block(INPUTS, padding_mask=padding_mask))
    unmasked = ops.convert_to_numpy(block(INPUTS))
    np.testing.assert_allclose(result, unmasked, atol=1e-6)


def test_dropout_only_in_training(check_config):
    block = TransformerBlock(8, num_heads=2, mlp_dim=12, dropout=0.5, activation="relu")
    still = ops.convert_to_numpy(block(INPUTS))
    np.testing.assert_array_equal(still, ops.convert_to_numpy(block(INPUTS, training=False)))
    moved = ops.convert_to_numpy(block(INPUTS, training=True))
    assert np.abs(still - moved).max() > 1e-3
    check_config(block)


def test_default_width_of_the_perceptron():
    assert TransformerBlock(8, num_heads=2).mlp_dim == 32


def test_bad_arguments():
    with pytest.raises(ValueError, match="must divide .* Received: hidden_dim=8, num_heads=3"):
        TransformerBlock(8, num_heads=3)
    with pytest.raises(ValueError, match="in \\[0, 1\\). Received: dropout=1.0"):
        TransformerBlock(8, num_heads=2, dropout=1.0)
