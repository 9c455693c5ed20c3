import numpy as np
import pytest

from rocmr_keras.data import Split
from rocmr_keras.data.epoch_order import EpochOrder

IMAGE_IDS = [4, 2, 2, 9]
CAPTION_IDS = [2, 4, 9, 2, 9, 9, 4]


@pytest.fixture
def split():
    captions = [f"{i} of {k}" for i, k in enumerate(CAPTION_IDS)]
    return Split(list("abcd"), IMAGE_IDS, captions, CAPTION_IDS)


def all_pairs():
    return {(i, c) for i, k in enumerate(IMAGE_IDS) for c, m in enumerate(CAPTION_IDS) if k == m}


def test_all_is_every_pair_once(split):
    order = EpochOrder(split, captions="all", shuffle=False)
    rows = order(0)
    assert len(order) == len(rows) == 9 and rows.dtype == np.int32
    assert {tuple(row) for row in rows.tolist()} == all_pairs()
    np.testing.assert_array_equal(rows, order(1))


def test_one_is_every_image_once_with_a_caption_of_its(split):
    order = EpochOrder(split, captions="one", seed=3)
    for epoch in range(20):
        rows = order(epoch).tolist()
        assert sorted(image for image, _ in rows) == [0, 1, 2, 3]
        assert {tuple(row) for row in rows} <= all_pairs()


def test_every_caption_is_drawn_in_time(split):
    order = EpochOrder(split, captions="one")
    drawn = {tuple(row) for epoch in range(60) for row in order(epoch).tolist()}
    assert drawn == all_pairs()


def test_an_epoch_is_of_seed_and_number(split):
    one, same, other = (EpochOrder(split, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one(5), same(5))
    assert any((one(epoch) != one(epoch + 1)).any() for epoch in range(3))
    assert any((one(epoch) != other(epoch)).any() for epoch in range(3))


def test_without_shuffle_only_captions_change(split):
    order = EpochOrder(split, shuffle=False)
    assert all(order(epoch)[:, 0].tolist() == [0, 1, 2, 3] for epoch in range(5))
    assert len({tuple(order(epoch)[:, 1]) for epoch in range(10)}) > 1


def test_unknown_captions(split):
    with pytest.raises(ValueError, match="'one' or 'all'.*Received: captions='five'"):
        EpochOrder(split, captions="five")
