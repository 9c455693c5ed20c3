import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.backend import draw_rows
from rocmr_keras.backend import part_of_batch


def draw(rows, axis=0):
    generator = keras.random.SeedGenerator(3)
    shape = [2, 3, 4]
    shape[axis] = rows
    drawn = draw_rows(keras.random.uniform, tuple(shape), axis, seed=generator)
    return np.moveaxis(ops.convert_to_numpy(drawn), axis, 0)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_part_draws_what_the_whole_draws(axis):
    whole = draw(8, axis)
    for first in (0, 3, 5):
        with part_of_batch(8, first):
            np.testing.assert_array_equal(draw(3, axis), whole[first : first + 3])
    np.testing.assert_array_equal(draw(8, axis), whole)


def test_a_part_ends_where_an_error_does():
    with pytest.raises(KeyError), part_of_batch(8, 3):
        raise KeyError
    assert draw(8).shape == (8, 3, 4)
