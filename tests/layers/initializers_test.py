import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.layers import PortableNormal


def test_values_are_those_of_numpy():
    values = ops.convert_to_numpy(PortableNormal(0.5, seed=3)((4, 2), dtype="float32"))
    expected = 0.5 * np.random.default_rng(3).standard_normal((4, 2))
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    assert values.dtype == np.float32


def test_the_global_seed_decides():
    def draw():
        return ops.convert_to_numpy(PortableNormal(1.0)((3,)))

    keras.utils.set_random_seed(7)
    first, second = draw(), draw()
    keras.utils.set_random_seed(7)
    np.testing.assert_array_equal(first, draw())
    assert np.abs(first - second).min() > 0


def test_copies_without_a_seed_differ():
    initializer = PortableNormal(1.0)
    copy = PortableNormal.from_config(initializer.get_config())
    assert np.abs(ops.convert_to_numpy(initializer((3,)) - copy((3,)))).min() > 0


def test_config(check_config):
    check_config(PortableNormal(0.02, seed=5))


def test_bad_stddev():
    with pytest.raises(ValueError, match="`stddev` must be 0 or more. Received: stddev=-1"):
        PortableNormal(-1)
