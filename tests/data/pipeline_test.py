import functools
import time

import keras
import numpy as np
import pytest

from rocmr_keras.data import RandomShift
from rocmr_keras.data import Split
from rocmr_keras.data import batches
from rocmr_keras.data import pack


@pytest.fixture
def pixels():
    """Eight images that tell themselves by their value, two for each id."""
    values = np.arange(8, dtype="uint8") * 10
    images = np.broadcast_to(values[:, None, None, None], (8, 4, 4, 3))
    captions = ["red", "a red square", "green", "blue", "a blue square", "something blue", "white"]
    return Split(images.copy(), [0, 0, 1, 1, 2, 2, 3, 3], captions, [0, 0, 1, 2, 2, 2, 3])


def epoch_of(dataset, preprocessor):
    """The examples of one epoch as (image value, image id, caption)."""
    examples = []
    for batch in dataset:
        values = np.round(np.asarray(batch["images"])[:, 0, 0, 0] * 255).astype(int).tolist()
        texts = preprocessor.detokenize(batch["token_ids"])
        examples += list(zip(values, np.asarray(batch["image_ids"]).tolist(), texts))
    return examples


def test_batch_dict(colours, preprocessor):
    dataset = batches(colours, preprocessor, batch_size=3, shuffle=False)
    assert len(dataset) == 2
    first, last = list(dataset)
    assert sorted(first) == ["image_ids", "images", "padding_mask", "token_ids"]
    assert first["images"].shape == (3, 4, 4, 3) and first["images"].dtype == "float32"
    assert first["token_ids"].shape == (3, 6) and first["token_ids"].dtype == "int32"
    assert first["padding_mask"].shape == (3, 6) and first["padding_mask"].dtype == "bool"
    assert first["image_ids"].dtype == "int32"
    assert last["images"].shape == (1, 4, 4, 3)
    np.testing.assert_array_equal(first["image_ids"], [3, 5, 7])


@pytest.mark.parametrize("packed", [True, False])
def test_same_pixels_and_ids_as_the_preprocessor(colours, preprocessor, packed):
    split = pack(colours, preprocessor) if packed else colours
    dataset = batches(split, preprocessor, 4, shuffle=False)
    (batch,) = list(dataset)
    np.testing.assert_array_equal(batch["images"], preprocessor.load_images(colours.images))
    texts = preprocessor.detokenize(batch["token_ids"])
    tokens = preprocessor.tokenize(texts)
    np.testing.assert_array_equal(batch["token_ids"], tokens["token_ids"])
    np.testing.assert_array_equal(batch["padding_mask"], tokens["padding_mask"])
    assert all(t in colours.captions_of(i) for t, i in zip(texts, colours.image_ids))


def test_one_caption_each_drawn_anew(pixels, preprocessor):
    dataset = batches(pixels, preprocessor, 3, seed=1)
    epochs = [epoch_of(dataset, preprocessor) for _ in range(4)]
    for epoch in epochs:
        assert sorted(value for value, _, _ in epoch) == list(range(0, 80, 10))
        assert all(image_id == value // 20 for value, image_id, _ in epoch)
        assert all(text in pixels.captions_of(image_id) for _, image_id, text in epoch)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert len({tuple(sorted(epoch)) for epoch in epochs}) > 1


def test_an_epoch_is_of_the_seed_alone(pixels, preprocessor):
    keras.utils.set_random_seed(1)
    dataset = batches(pixels, preprocessor, 3, seed=5)
    epochs = [epoch_of(dataset, preprocessor) for _ in range(2)]
    keras.utils.set_random_seed(2)
    again = batches(pixels, preprocessor, 3, seed=5)
    assert epochs == [epoch_of(again, preprocessor) for _ in range(2)]
    # The same on every backend and in every release: a run can be resumed elsewhere.
    assert [value for value, _, _ in epochs[0]] == [50, 70, 10, 30, 20, 40, 60, 0]


def test_resumed_where_it_was(pixels, preprocessor):
    dataset = batches(pixels, preprocessor, 3)
    epochs = [epoch_of(dataset, preprocessor) for _ in range(3)]
    resumed = batches(pixels, preprocessor, 3)
    resumed.epoch = 2
    assert epoch_of(resumed, preprocessor) == epochs[2]


def test_a_look_does_not_make_an_epoch(pixels, preprocessor):
    plain = epoch_of(batches(pixels, preprocessor, 4), preprocessor)
    dataset = batches(pixels, preprocessor, 4)
    for _ in range(3):
        iterator = iter(dataset)
        next(iterator)
        # Time enough for what is fetched in advance.
        time.sleep(0.1)
    assert epoch_of(dataset, preprocessor) == plain
    assert epoch_of(dataset, preprocessor) != plain


def test_all_pairs(pixels, preprocessor):
    dataset = batches(pixels, preprocessor, 4, captions="all")
    assert len(dataset) == 4
    pairs = epoch_of(dataset, preprocessor)
    expected = {
        (10 * n, int(i), c) for n, i in enumerate(pixels.image_ids) for c in pixels.captions_of(i)
    }
    assert len(pairs) == len(expected) == 14 and set(pairs) == expected


def test_remainder(pixels, preprocessor):
    dataset = batches(pixels, preprocessor, 3, drop_remainder=True)
    assert [len(batch["image_ids"]) for batch in dataset] == [3, 3]
    with pytest.raises(ValueError, match="batch_size=9, 8 examples"):
        batches(pixels, preprocessor, 9, drop_remainder=True)
    with pytest.raises(ValueError, match="batch_size=0"):
        batches(pixels, preprocessor, 0)


def test_augmentation_is_clipped(pixels, preprocessor):
    dataset = batches(pixels, preprocessor, 8, shuffle=False, augment=lambda x: x * 10.0 - 1.0)
    (batch,) = list(dataset)
    values = np.arange(8) * 10 / 255
    np.testing.assert_allclose(
        batch["images"][:, 0, 0, 0], np.clip(values * 10 - 1, 0, 1), atol=1e-5
    )


def make_augmentation(name):
    return {
        "flip": lambda: keras.layers.RandomFlip(seed=0),
        "pipeline": lambda: keras.layers.Pipeline(
            [keras.layers.RandomFlip(seed=1), keras.layers.RandomBrightness(0.5, (0, 1), seed=2)]
        ),
        "shift": lambda: RandomShift(0.5, seed=0),
    }[name]()


@pytest.mark.parametrize("name", ["flip", "pipeline", "shift"])
def test_augmentation_is_reproducible(preprocessor, name):
    noise = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 3), dtype="uint8")
    split = Split(noise, range(8), ["red"] * 8, range(8))
    make = functools.partial(batches, split, preprocessor, 3, shuffle=False)
    dataset = make(augment=make_augmentation(name))
    epochs = [[batch["images"] for batch in dataset] for _ in range(2)]
    assert [images.shape[0] for images in epochs[0]] == [3, 3, 2]
    for images in epochs[0]:
        assert images.dtype == np.float32 and 0 <= images.min() and images.max() <= 1
    assert any((one != two).any() for one, two in zip(*epochs))
    # A resumed run sees what this one saw, in the middle of an epoch too.
    resumed = make(augment=make_augmentation(name))
    resumed.epoch = 1
    for batch, images in zip(resumed, epochs[1], strict=True):
        np.testing.assert_array_equal(batch["images"], images)
    stream = iter(make(augment=make_augmentation(name)).stream(0, 2))
    for images in (epochs[0][2], *epochs[1]):
        np.testing.assert_array_equal(next(stream)["images"], images)


def test_images_in_bytes(pixels, preprocessor):
    for options in ({}, {"augment": RandomShift(0.5, seed=0)}):
        dataset = batches(pixels, preprocessor, 4, **options)
        for raw, batch in zip(dataset.as_uint8().shard(1, 2), dataset.shard(1, 2), strict=True):
            assert raw["images"].dtype == "uint8"
            np.testing.assert_array_equal(batch["images"], raw["images"] * np.float32(1 / 255))
    with pytest.raises(ValueError, match="stay bytes where `augment` takes pixels of 0 to 255"):
        batches(pixels, preprocessor, augment=keras.layers.RandomFlip()).as_uint8()


def test_augmentation_that_changes_the_shape(pixels, preprocessor):
    dataset = batches(pixels, preprocessor, 4, augment=lambda images: images[:, :2])
    with pytest.raises(ValueError, match=r"`augment` must return.*Received: \(4, 2, 4, 3\) for"):
        list(dataset)


def test_a_stream_goes_on_over_the_end_of_an_epoch(pixels, preprocessor):
    dataset = batches(pixels, preprocessor, 3, seed=1)
    expected = [np.asarray(batch["images"]) for _ in range(3) for batch in dataset]
    assert dataset.epoch == 3
    stream = iter(dataset.stream(1, 1))
    for images in expected[4:]:
        np.testing.assert_array_equal(next(stream)["images"], images)
    assert dataset.epoch == 3
    again = iter(dataset.stream(1, repeat=True))
    for images in expected[3:6] * 2:
        np.testing.assert_array_equal(next(again)["images"], images)
    # As a dataset of Keras: counted from the epoch that comes next.
    dataset.epoch = 1
    np.testing.assert_array_equal(dataset[4]["images"], expected[7])


def test_a_preprocessor_is_needed_for_what_is_not_packed(pixels, preprocessor):
    packed = pack(pixels, preprocessor)
    given = epoch_of(batches(packed, preprocessor, 3), preprocessor)
    assert epoch_of(batches(packed, batch_size=3), preprocessor) == given
    for make in (
        lambda: batches(pixels, batch_size=3),
        lambda: batches(packed, batch_size=3).with_edits(Edits()),
    ):
        with pytest.raises(ValueError, match="`preprocessor` must be given.*preprocessor=None"):
            make()


def test_float_images(preprocessor):
    images = np.linspace(0, 1, 2 * 5 * 5 * 3, dtype="float32").reshape(2, 5, 5, 3)
    split = Split(images, [0, 1], ["red", "green"], [0, 1])
    (batch,) = list(batches(split, preprocessor, 2, shuffle=False))
    np.testing.assert_array_equal(batch["images"], preprocessor.load_images(images))


def test_captions_that_utf8_cannot_hold(pixels, preprocessor):
    pixels.captions[2] = "\ud83d red"
    dataset = batches(pixels, preprocessor, 8)
    assert "[UNK] red" in {text for _, _, text in epoch_of(dataset, preprocessor)}


def test_file_that_breaks_later_is_named(colours, preprocessor, tmp_path):
    dataset = batches(colours, preprocessor, 2)
    (tmp_path / "green.png").write_bytes(b"gone")
    with pytest.raises(ValueError, match="green.png': not a JPEG"):
        list(dataset)


class Edits:
    """Two places of two edits each, which tell epoch and caption."""

    shape = (2, 2)
    words = ("red", "green", "blue", "white")

    def __call__(self, caption, key):
        epoch, index = key
        return np.array([[self.words[epoch], self.words[index % 4]], [caption, "a"]], object)


@pytest.mark.parametrize("packed", [True, False])
def test_edits_are_drawn_anew_each_epoch(colours, preprocessor, packed):
    split = pack(colours, preprocessor) if packed else colours
    plain = batches(split, preprocessor, 3)
    plain.epoch = 1
    dataset = plain.with_edits(Edits())
    assert "candidate_token_ids" not in plain[0]
    for epoch in (1, 2):
        for batch in dataset:
            found = np.asarray(batch["candidate_token_ids"])
            assert found.shape == (len(batch["token_ids"]), 2, 2, 6)
            np.testing.assert_array_equal(batch["candidate_padding_mask"], found != 0)
            for text, rows in zip(preprocessor.detokenize(batch["token_ids"]), found):
                index = colours.captions.index(text)
                expected = [Edits.words[epoch], Edits.words[index % 4], text, "a"]
                assert preprocessor.detokenize(rows.reshape(4, 6)) == expected
