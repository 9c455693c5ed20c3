import numpy as np
import pytest

from rocmr_keras.padded_batches import in_batches


@pytest.mark.parametrize("count, batch_size", [(7, 3), (6, 3), (2, 5), (1, 1)])
def test_every_example_once_in_batches_of_one_size(count, batch_size):
    seen = []

    def step(positions):
        seen.append(positions)
        return {"twice": 2 * positions, "pair": np.stack([positions, positions], axis=1)}

    found = in_batches(step, count, batch_size)
    assert {len(positions) for positions in seen} == {batch_size}
    assert found["twice"].tolist() == [2 * i for i in range(count)]
    assert found["pair"].shape == (count, 2)


def test_the_last_batch_is_filled_up_with_its_own_examples():
    seen = []
    in_batches(lambda positions: seen.append(positions) or {"x": positions}, 8, 5)
    assert seen[-1].tolist() == [5, 6, 7, 5, 6]


def test_the_last_batch_may_stay_as_small_as_it_is():
    seen = []

    def step(positions):
        seen.append(positions.tolist())
        return {"x": positions}

    assert in_batches(step, 8, 5, halvings=None)["x"].tolist() == list(range(8))
    assert seen == [[0, 1, 2, 3, 4], [5, 6, 7]]


@pytest.mark.parametrize("count, sizes", [(8, [8]), (11, [8, 4]), (10, [8, 2]), (3, [4]), (7, [8])])
def test_the_last_batch_may_be_a_part_of_a_full_one(count, sizes):
    seen = []

    def step(positions):
        seen.append(len(positions))
        return {"x": positions}

    found = in_batches(step, count, 8, halvings=2)
    assert seen == sizes and found["x"].tolist() == list(range(count))
