import numpy as np
import pytest

from rocmr_keras.data import Split
from rocmr_keras.data import hold_out


def make_split(n=6, drawings=1, captions=2):
    ids = np.arange(n) * 10
    return Split(
        [f"{i}.png" for i in range(n * drawings)],
        np.repeat(ids, drawings),
        [f"caption {i} of {k}" for k in ids for i in range(captions)],
        np.repeat(ids, captions),
        name="made",
        skipped={"bad items": ["x.png: truncated"]},
    )


def test_counts():
    split = make_split(drawings=2, captions=3)
    assert len(split) == 12
    assert repr(split) == "<Split name='made' images=12 captions=18 ids=6>"
    assert split.image_ids.dtype == split.caption_image_ids.dtype == np.int32
    assert split.captions_of(20) == ["caption 0 of 20", "caption 1 of 20", "caption 2 of 20"]


def test_subset_keeps_the_captions_of_its_images():
    split = make_split(drawings=2)
    part = split.subset(5, seed=1)
    assert len(part) == 5 and part.name == "made" and part.skipped == split.skipped
    assert set(part.images) < set(split.images)
    assert set(part.caption_image_ids) == set(part.image_ids)
    assert part.captions_of(part.image_ids[0]) == split.captions_of(part.image_ids[0])


def test_subset_is_of_the_seed():
    split = make_split()
    assert split.subset(3, seed=4).images == split.subset(3, seed=4).images
    assert len({tuple(split.subset(3, seed=seed).images) for seed in range(8)}) > 1
    assert split.subset(6).images == split.images


def test_take_of_an_array():
    pixels = np.arange(4 * 2 * 2 * 3, dtype="uint8").reshape(4, 2, 2, 3)
    split = Split(pixels, [0, 1, 2, 3], list("abcd"), [0, 1, 2, 3])
    part = split.take([2, 0])
    np.testing.assert_array_equal(part.images, pixels[[2, 0]])
    assert part.captions == ["a", "c"]


@pytest.mark.parametrize("n_images", [0, 7])
def test_subset_out_of_range(n_images):
    with pytest.raises(ValueError, match=f"integer from 1 to .*Received: n_images={n_images}"):
        make_split().subset(n_images)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((["a", "b"], [0], ["x"], [0]), "len.image_ids.=1, len.images.=2"),
        ((["a"], [0], ["x"], [0, 0]), "len.caption_image_ids.=2, len.captions.=1"),
        ((["a", "b"], [0, 4], ["x"], [0]), "first image_id=4 .image 'b'.*Leave these images"),
        ((["a"], [0], ["x", "y"], [0, 8]), "first caption_image_id=8 .caption 'y'"),
        ((["a"], [0.5], ["x"], [0]), "`image_ids` must be a flat list of integers.*0.5"),
        ((["a"], [0], [["x", "y"]], [0]), "must be strings.*'x', 'y'.*position 0"),
        ((np.zeros((1, 2, 2)), [0], ["x"], [0]), r"shape \(N, height, width, 3\).*\(1, 2, 2\)"),
        ((np.full((1, 2, 2, 3), 2.0), [0], ["x"], [0]), r"in \[0, 1\].*range \[2.0, 2.0\]"),
        ((np.full((1, 2, 2, 3), np.nan), [0], ["x"], [0]), r"in \[0, 1\].*nan"),
    ],
)
def test_mistakes(arguments, message):
    with pytest.raises(ValueError, match=message):
        Split(*arguments)


@pytest.mark.parametrize(
    "ids",
    [
        [7, 7 + 2**32],
        np.array([7, 7 + 2**32]),
        [2**70, -(2**70)],
        ["cat.jpg", "dog.jpg"],
        [("coco", 1), ("coco", 2)],
    ],
)
def test_ids_that_do_not_fit_are_numbered(ids):
    split = Split(["a", "b"], ids, ["x", "y", "z"], [ids[1], ids[0], ids[1]])
    np.testing.assert_array_equal(split.image_ids, [0, 1])
    np.testing.assert_array_equal(split.caption_image_ids, [1, 0, 1])
    assert split.image_ids.dtype == np.int32
    assert split.id_names == [each for each in ids]
    part = split.take([1])
    assert part.captions == ["x", "z"] and part.id_names[part.image_ids[0]] == ids[1]


def test_small_ids_are_kept():
    split = Split(["a", "b"], np.array([5, -3], "int64"), ["x", "y"], [-3, 5])
    np.testing.assert_array_equal(split.image_ids, [5, -3])
    assert split.id_names is None


@pytest.mark.parametrize("ids", [[[1], [2]], np.zeros((2, 1), int), np.array([1.0, np.nan])])
def test_ids_that_cannot_be_compared(ids):
    with pytest.raises(ValueError, match="`image_ids` must be a flat list .*Received: image_ids"):
        Split(["a", "b"], ids, ["x", "y"], [1, 2])


def test_a_share_is_held_out_with_its_captions():
    ids = np.repeat(np.arange(20), 2)
    images = [f"{index}.png" for index in range(40)]
    split = Split(images, ids, [f"caption {i}" for i in range(20)], np.arange(20), "train")
    kept, held = hold_out(split, 0.25, seed=3)
    assert (kept.name, held.name) == ("train", "test")
    # Both images of an id are on one side, and each side has the captions of its images alone.
    assert len(set(held.image_ids)) == 5 and len(held.images) == 10
    assert not set(kept.image_ids) & set(held.image_ids)
    for part in (kept, held):
        assert set(part.caption_image_ids) == set(part.image_ids)
    again = hold_out(split, 0.25, seed=3)[1]
    assert again.images == held.images and hold_out(split, 0.25, seed=4)[1].images != held.images


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 0.001, 0.999])
def test_a_share_that_leaves_nothing(share):
    split = Split(["0.png", "1.png"], [0, 1], ["zero", "one"], [0, 1])
    with pytest.raises(ValueError, match=f"Received: share={share}, a split with 2"):
        hold_out(split, share)
