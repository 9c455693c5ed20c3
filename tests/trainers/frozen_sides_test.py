"""Towers that are frozen and not attacked are encoded once, and nothing else changes."""

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.data import Preprocessor
from rocmr_keras.data import RandomShift
from rocmr_keras.data import Split
from rocmr_keras.data import batches
from rocmr_keras.data import pack
from rocmr_keras.trainers import PRESETS
from rocmr_keras.trainers import Terms
from rocmr_keras.trainers import frozen_sides

WORDS = ["red", "green", "blue", "apple"]


@pytest.fixture(scope="module")
def packed():
    preprocessor = Preprocessor(["[PAD]", "[UNK]", "[START]", "[END]", *WORDS], 6, (8, 8))
    pixels = np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3), dtype="uint8")
    captions = [f"{WORDS[index % 4]} apple {WORDS[index // 4]}" for index in range(10)]
    return pack(Split(pixels, range(10), captions, range(10)), preprocessor)


@pytest.fixture
def encoded(monkeypatch):
    """What `fit` encoded once, a dict for each call."""
    found, encode_once = [], frozen_sides.encode_once

    def note(*args):
        found.append(encode_once(*args))
        return found[-1]

    monkeypatch.setattr(frozen_sides, "encode_once", note)
    return found


def train(make_trainer, model, packed, once, terms, **options):
    keras.utils.set_random_seed(0)
    trainer = make_trainer(terms, model)
    trainer.encode_frozen_once = once
    trainer.compile(keras.optimizers.AdamW(0.01))
    data = batches(packed, batch_size=4, drop_remainder=True)
    return trainer.fit(data, epochs=3, verbose=0, **options).history


# The projections train behind frozen towers; in the second the text tower does as well.
CASES = {
    "standard": {"images": "tower", "texts": "tower"},
    "rocmr_text_only": {"images": "all"},
    "rocmr_image_only": {"texts": "all"},
}


@pytest.mark.parametrize("terms", CASES)
def test_weights_are_those_of_training_without(terms, make_model, make_trainer, packed, encoded):
    histories, models = [], []
    for once in (False, True):
        keras.utils.set_random_seed(1)
        models.append(make_model(projection_dim=4))
        models[-1].freeze(**CASES[terms])
        before = [ops.convert_to_numpy(weight).copy() for weight in models[-1].trainable_weights]
        histories.append(train(make_trainer, models[-1], packed, once, terms))
    assert [set(found) for found in encoded] == [set(CASES[terms])]
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, atol=1e-4)
    for weights in zip(before, *(model.trainable_weights for model in models), strict=True):
        start, one, two = map(ops.convert_to_numpy, weights)
        assert np.abs(one - start).max() > 1e-3
        np.testing.assert_allclose(one, two, atol=1e-5)


def test_only_what_is_drawn_is_encoded(make_flat_model, packed):
    model, data = make_flat_model(), batches(packed, batch_size=4, shuffle=False)
    model.freeze(images="all", texts="all")
    terms = Terms(clean=1.0)
    assert not frozen_sides.encode_once(model, terms, data, 0, 3, 0)
    found = frozen_sides.encode_once(model, terms, data, 0, 5, 0)
    assert set(found) == {"images", "texts"}
    few = frozen_sides.encode_once(model, terms, batches(packed, batch_size=4), 3, 9, 0)
    expected = model.encode_images(packed.images / np.float32(255), normalize=False)
    for features in (found["images"], few["images"]):
        np.testing.assert_allclose(features, ops.convert_to_numpy(expected), atol=1e-5)
    skipping = batches(packed, batch_size=8, shuffle=False, drop_remainder=True)
    part = frozen_sides.encode_once(model, terms, skipping, 0, 2, 0)["texts"]
    assert part.shape == (8, 8) and np.isfinite(part).all()


def test_epochs_are_counted_and_validation_has_its_images(
    make_flat_model, make_trainer, packed, encoded
):
    model = make_flat_model()
    model.freeze(images="all", texts="all")
    held_out = batches(packed, batch_size=5)
    history = train(make_trainer, model, packed, True, "standard", validation_data=held_out)
    assert set(encoded[0]) == {"images", "texts"} and len(history["val_loss"]) == 3


@pytest.mark.parametrize("augment", [RandomShift(0.1), keras.layers.RandomFlip()])
def test_augmented_images_are_encoded_in_every_step(augment, make_flat_model, packed):
    model, data = make_flat_model(), batches(packed, batch_size=4, augment=augment)
    model.freeze(images="all", texts="all")
    assert set(frozen_sides.encode_once(model, Terms(clean=1.0), data, 0, 9, 0)) == {"texts"}


def test_attacked_and_measured_sides_are_not_constant(make_flat_model):
    model = make_flat_model()
    model.freeze(images="all", texts="all")
    for terms, sides in (
        ("rocmr", []),
        ("tecoa", ["texts"]),
        ("rocmr_text_only", ["images"]),
        # Images are encoded, captions play no part.
        ("fare", []),
    ):
        assert frozen_sides.frozen_sides(model, PRESETS[terms]) == sides
    assert frozen_sides.frozen_sides(object(), Terms(clean=1.0)) == []


@pytest.mark.parametrize(
    "options, freeze",
    [
        ({"num_layers": 1}, {"texts": 0}),
        ({"normalization": "batch"}, {}),
        ({"num_layers": 1, "dropout": 0.1}, {"texts": "all"}),
    ],
)
def test_what_trains_or_draws_is_not_constant(options, freeze, make_model):
    model = make_model(**options)
    model.freeze(**freeze)
    assert not model.is_constant("images") and not model.is_constant("texts")


def test_batch_statistics_are_not_constant(make_model):
    model = make_model(normalization="batch")
    for weight in model.image_encoder.weights:
        weight.trainable = False
    assert not model.image_encoder.trainable_weights and not model.is_constant("images")
    model.freeze(images="all")
    assert model.is_constant("images")
