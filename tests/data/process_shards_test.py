"""Several processes read what one would, each its part."""

import keras
import numpy as np
import pytest

from rocmr_keras.attacks import CharacterDraws
from rocmr_keras.data import RandomShift
from rocmr_keras.data import Split
from rocmr_keras.data import batches
from rocmr_keras.data import pack


@pytest.fixture
def packed(preprocessor):
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (18, *preprocessor.image_size, 3), dtype="uint8")
    captions = [("red", "a red square", "blue", "a green square")[i % 4] for i in range(36)]
    return pack(Split(pixels, range(18), captions, np.arange(36) // 2), preprocessor)


@pytest.fixture
def make_shards(packed, preprocessor):
    def make_shards(count, **options):
        edits = CharacterDraws(num_positions=2, num_characters=1, seed=3)
        options = {"augment": RandomShift(0.4, seed=5), "seed": 2, **options}
        dataset = batches(packed, preprocessor, 6, **options).with_edits(edits)
        return [dataset.shard(index, count) for index in range(count)]

    return make_shards


def join(parts):
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def assert_same(first, second):
    assert set(first) == set(second)
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name])


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("captions", ["one", "all"])
def test_together_they_are_the_batch_of_one_process(count, captions, make_shards):
    (whole,), shards = make_shards(1, captions=captions), make_shards(count, captions=captions)
    for _ in range(2):
        for batch, *parts in zip(whole, *shards, strict=True):
            assert [len(part["images"]) for part in parts] == [6 // count] * count
            assert_same(join(parts), batch)


def test_no_image_is_read_twice_in_an_epoch(make_shards):
    read = [np.concatenate([b["image_ids"] for b in shard]) for shard in make_shards(3)]
    assert sorted(np.concatenate(read)) == list(range(18))


def test_each_goes_on_where_it_was(make_shards):
    for shard in make_shards(2):
        iterator = iter(shard.stream())
        for _ in range(4):
            next(iterator)
        state = iterator.get_state()
        expected = [next(iterator) for _ in range(3)]
        again = iter(shard.stream())
        again.set_state(state)
        for batch in expected:
            assert_same(next(again), batch)


@pytest.mark.parametrize("before, after", [(1, 2), (2, 3), (3, 1)])
def test_a_run_goes_on_with_another_number_of_processes(before, after, make_shards):
    """The place in the data is that of whole batches, whoever reads which part of them."""
    streams = [iter(shard.stream()) for shard in make_shards(before)]
    for _ in range(4):
        for stream in streams:
            next(stream)
    states = [stream.get_state() for stream in streams]
    assert all(state == states[0] for state in states)
    others = [iter(shard.stream()) for shard in make_shards(after)]
    for stream in others:
        stream.set_state(states[0])
    for _ in range(3):
        expected = join([next(stream) for stream in streams])
        assert_same(join([next(stream) for stream in others]), expected)


def test_so_it_does_by_epoch_and_step(make_shards):
    (whole,) = make_shards(1)
    stream = iter(whole.stream(epoch=1, step=2))
    others = [iter(shard.stream(epoch=1, step=2)) for shard in make_shards(3)]
    for _ in range(3):
        assert_same(join([next(other) for other in others]), next(stream))


def test_a_shard_reads_its_own_rows_only(make_shards):
    drawn = [shard.constant_rows("texts", 0, 6) for shard in make_shards(2, shuffle=False)]
    (whole,) = make_shards(1, shuffle=False)
    assert [len(rows) for rows in drawn] == [18, 18]
    parts = [rows.reshape(6, 3) for rows in drawn]
    np.testing.assert_array_equal(
        np.concatenate(parts, axis=1).ravel(), whole.constant_rows("texts", 0, 6)
    )


@pytest.mark.parametrize(
    "shard, options, message",
    [
        ((2, 2), {}, "with an index from 0"),
        ((0, 4), {}, "divisible into equal shards"),
        ((0, 4), {"batch_size": 4}, "a last batch of 2"),
        ((0, 2), {"augment": keras.layers.RandomFlip()}, "by the place in the epoch"),
    ],
)
def test_shards_that_cannot_be(shard, options, message, packed):
    dataset = batches(packed, **{"batch_size": 6, **options})
    with pytest.raises(ValueError, match=message):
        dataset.shard(*shard)


def test_a_remainder_may_be_dropped(packed):
    dataset = batches(packed, batch_size=4, drop_remainder=True).shard(3, 4)
    assert [len(batch["image_ids"]) for batch in dataset] == [1] * 4
