import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.backend import draw_rows
from rocmr_keras.backend import part_of_batch


def draw(rows):
    generator = keras.random.SeedGenerator(3)
    drawn = draw_rows(keras.random.uniform, (rows, 2, 3), seed=generator)
    return ops.convert_to_numpy(drawn)


def test_a_part_draws_what_the_whole_draws():
    whole = draw(8)
    for first in (0, 3, 5):
        with part_of_batch(8, first):
            np.testing.assert_array_equal(draw(3), whole[first : first + 3])
    np.testing.assert_array_equal(draw(8), whole)


def test_a_part_ends_where_an_error_does():
    with pytest.raises(KeyError), part_of_batch(8, 3):
        raise KeyError
    assert draw(8).shape == (8, 2, 3)
