import numpy as np
import pytest

from rocmr_keras.data import RandomShift

NOISE = np.random.default_rng(0).integers(0, 256, (16, 10, 20, 3), dtype="uint8")


def shifted(image, rows, columns):
    """The twin: every target pixel looks up where it came from."""
    height, width = image.shape[:2]
    sources = np.clip(np.arange(height) + rows, 0, height - 1)
    return image[sources][:, np.clip(np.arange(width) + columns, 0, width - 1)]


def test_every_image_is_moved_whole_and_edges_repeat():
    moved = RandomShift(0.2, seed=3).apply_at(NOISE, 0, 0)
    assert moved.shape == NOISE.shape and moved.dtype == np.uint8
    moves = [(rows, columns) for rows in range(-2, 3) for columns in range(-4, 5)]
    found = set()
    for before, after in zip(NOISE, moved):
        fits = [move for move in moves if (shifted(before, *move) == after).all()]
        assert len(fits) == 1
        found.add(fits[0])
    assert len(found) > 8


def test_all_moves_come_in_time():
    image = np.broadcast_to(np.arange(10, dtype="uint8")[None, :, None, None], (4000, 10, 10, 1))
    moved = RandomShift(0.2).apply_at(image, 0, 0)[:, 5, 5, 0]
    _, counts = np.unique(moved, return_counts=True)
    assert len(counts) == 5 and counts.min() > 700


def test_mirror():
    moved = RandomShift(0.0, mirror=True).apply_at(NOISE, 0, 0)
    is_mirrored = [(after == before[:, ::-1]).all() for before, after in zip(NOISE, moved)]
    is_same = [(after == before).all() for before, after in zip(NOISE, moved)]
    assert 2 < sum(is_mirrored) < 14 and sum(is_mirrored) + sum(is_same) == 16


def test_what_is_drawn_is_of_seed_epoch_and_place_alone():
    shift = RandomShift(0.3, mirror=True, seed=1)
    whole = shift.apply_at(NOISE, 4, 0)
    parts = [shift.apply_at(NOISE[first : first + 5], 4, first) for first in range(0, 16, 5)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    for other in (RandomShift(0.3, True, 2).apply_at(NOISE, 4, 0), shift.apply_at(NOISE, 5, 0)):
        assert (other != whole).any()


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_bad_share(share):
    with pytest.raises(ValueError, match=f"in .0, 1.. Received: share={share}"):
        RandomShift(share)
