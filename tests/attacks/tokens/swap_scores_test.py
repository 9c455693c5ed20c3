import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import Vocabulary
from rocmr_keras.attacks.tokens.swap_scores import Swaps

pytestmark = pytest.mark.processor

LINE = np.array([[1.0], [4.0], [-3.0], [0.0]], "float32")


def build(token_ids, table, allowed, **options):
    token_ids = np.array(token_ids, "int32")
    positions = options.pop("positions", np.ones(token_ids.shape, bool))
    return Swaps(
        ops.convert_to_tensor(token_ids),
        ops.convert_to_tensor(positions),
        Vocabulary(None, ops.convert_to_tensor(table), allowed),
        **options,
    )


def gains_of_all(swaps, gradient):
    batch, size = swaps.token_ids.shape[0], swaps.table.shape[0]
    every = np.tile(np.arange(size, dtype="int32"), (batch, 1))
    gradient = ops.convert_to_tensor(np.array(gradient, "float32"))
    return ops.convert_to_numpy(swaps.gains(gradient, ops.convert_to_tensor(every)))


def test_gains():
    swaps = build([[0, 3]], LINE, np.array([True, True, True, False]))
    # (new - old) * slope; neither the token itself nor one that may not be written.
    expected = [[[-1e30, 6.0, -8.0, -1e30], [-1.0, -4.0, 3.0, -1e30]]]
    found = gains_of_all(swaps, [[[2.0], [-1.0]]])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_gains_at_the_length_of_the_embedding_that_is_replaced():
    table = np.array([[3.0, 4.0], [2.0, 0.0], [0.0, 0.5], [0.0, 0.0]], "float32")
    swaps = build([[0, 2]], table, np.ones(4, bool), match_length=True)
    # The first of length 5, the second of 0.5; what has no direction stays zero.
    expected = [[[-1e30, 5.0 - 43.0, 50.0 - 43.0, -43.0], [4.3 - 5.0, 0.5 - 5.0, -1e30, -5.0]]]
    found = gains_of_all(swaps, [[[1.0, 10.0], [1.0, 10.0]]])
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("count", [1, 5, 20, 200])
def test_the_shortlist_holds_the_best_swaps(count):
    """Also where most gains are negative, and a token gains nothing only where it stands."""
    draw = np.random.default_rng(0)
    table = draw.normal(size=(40, 3)).astype("float32")
    token_ids, allowed = draw.integers(0, 40, (6, 5)), np.arange(40) > 3
    positions = draw.random((6, 5)) < 0.7
    swaps = build(token_ids, table, allowed, positions=positions, match_length=True)
    gradient = table[token_ids] + 0.3 * draw.normal(size=(6, 5, 3)).astype("float32")
    every = gains_of_all(swaps, gradient).reshape(6, -1)
    expected = np.sort(every, axis=1)[:, ::-1][:, :count]
    gradient = ops.convert_to_tensor(gradient)
    position, token, valid = swaps.best(gradient, swaps.shortlist(gradient, count), count)
    valid = ops.convert_to_numpy(valid).T
    np.testing.assert_array_equal(valid, expected > -1e29)
    place = 40 * ops.convert_to_numpy(position).T + ops.convert_to_numpy(token).T
    found = np.take_along_axis(every, place, axis=1)
    np.testing.assert_allclose(found[valid], expected[valid], rtol=1e-5)


def test_write():
    swaps = build([[5, 6, 7], [8, 9, 5]], np.zeros((10, 1), "float32"), np.ones(10, bool))
    position, token = (ops.convert_to_tensor(np.array(v, "int32")) for v in ([[0, 2]], [[1, 3]]))
    found = ops.convert_to_numpy(swaps.write(position, token))
    np.testing.assert_array_equal(found, [[[1, 6, 7], [8, 9, 3]]])
