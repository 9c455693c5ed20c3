import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks.ascent import projected_ascent

START = np.array([[0.5, -1.0], [2.0, 0.25], [0.0, 0.0]], "float32")
CLEAN = np.array([[0.25, -0.5], [1.0, 0.125], [0.0, 0.0]], "float32")


def bowl(inputs):
    return ops.sum(ops.square(inputs), axis=1)


def hill(inputs):
    return -bowl(inputs)


def double(inputs, gradient):
    return inputs + 0.5 * gradient


def away(inputs, gradient):
    return inputs - 0.5 * gradient


@pytest.fixture(scope="module")
def start():
    return ops.convert_to_tensor(START)


@pytest.fixture(scope="module")
def clean():
    return ops.convert_to_tensor(CLEAN)


@pytest.mark.parametrize("num_steps", [1, 4, 6])
def test_last_iterate(start, clean, num_steps):
    found, losses, stalled = projected_ascent(
        start, clean, bowl, double, num_steps, keep_best=False
    )
    np.testing.assert_allclose(ops.convert_to_numpy(found), 2.0**num_steps * START, rtol=1e-6)
    assert losses is None
    # Only the example at the origin has no gradient.
    assert float(ops.convert_to_numpy(stalled)) == num_steps


@pytest.mark.parametrize("num_steps", [4, 6])
def test_best_iterate_is_the_last_one_of_a_climb(start, clean, num_steps):
    found, losses, _ = projected_ascent(start, clean, bowl, double, num_steps)
    expected = 2.0**num_steps * START
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, rtol=1e-6)
    np.testing.assert_allclose(
        ops.convert_to_numpy(losses), np.square(expected).sum(axis=1), rtol=1e-6
    )


@pytest.mark.parametrize("num_steps", [4, 6])
def test_best_iterate_is_the_start_of_a_descent(start, clean, num_steps):
    found, losses, _ = projected_ascent(start, clean, bowl, away, num_steps)
    np.testing.assert_array_equal(ops.convert_to_numpy(found), START)
    np.testing.assert_allclose(ops.convert_to_numpy(losses), np.square(START).sum(axis=1))


@pytest.mark.parametrize("num_steps", [4, 6])
def test_best_iterate_may_be_the_clean_input(start, clean, num_steps):
    found, losses, _ = projected_ascent(start, clean, hill, away, num_steps)
    np.testing.assert_array_equal(ops.convert_to_numpy(found), CLEAN)
    np.testing.assert_allclose(ops.convert_to_numpy(losses), -np.square(CLEAN).sum(axis=1))
