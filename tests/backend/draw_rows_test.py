import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.backend import draw_rows
from rocmr_keras.backend import part_of_batch
from rocmr_keras.backend import row_draws


def draw(rows, axis=0, draw_rows=draw_rows):
    generator = keras.random.SeedGenerator(3)
    shape = [2, 3, 4]
    shape[axis] = rows
    drawn = draw_rows(keras.random.normal, tuple(shape), axis, seed=generator)
    return np.moveaxis(ops.convert_to_numpy(drawn), axis, 0)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_part_draws_what_the_whole_draws(axis):
    whole = draw(8, axis)
    for first in (0, 3, 5):
        with part_of_batch(8, first):
            np.testing.assert_array_equal(draw(3, axis), whole[first : first + 3])
    np.testing.assert_array_equal(draw(8, axis), whole)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(row_draws, "BLOCK_ROWS", 4)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_part_of_several_blocks(small_blocks, axis):
    whole = draw(10, axis)
    assert len({row.tobytes() for row in whole}) == 10
    for first, count in ((0, 10), (0, 2), (3, 2), (4, 1), (1, 8), (8, 2)):
        with part_of_batch(10, first):
            np.testing.assert_array_equal(draw(count, axis), whole[first : first + count])


@pytest.mark.parametrize("size", [2, 3, 4, 8])
def test_parts_of_one_size_whose_place_is_a_tensor(small_blocks, size):
    whole = draw(10)
    for first in range(10 % size, 10, size):
        with part_of_batch(10, ops.convert_to_tensor(first, "int32"), size=size):
            np.testing.assert_array_equal(draw(size), whole[first : first + size])


def test_a_batch_of_one_block_draws_as_keras_does():
    def plain(draw, shape, axis, seed):
        return draw(shape, seed=seed)

    np.testing.assert_array_equal(draw(8), draw(8, draw_rows=plain))


def test_a_part_ends_where_an_error_does():
    with pytest.raises(KeyError), part_of_batch(8, 3):
        raise KeyError
    assert draw(8).shape == (8, 3, 4)
