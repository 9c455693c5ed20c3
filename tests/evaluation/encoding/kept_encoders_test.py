import gc
import weakref

import keras
import numpy as np
import pytest

from rocmr_keras import fine_tuning
from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import QueryEncoder
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.evaluation import encode
from rocmr_keras.evaluation import evaluate
from rocmr_keras.evaluation.encoding.embeddings import clean_encoder
from rocmr_keras.evaluation.encoding.kept_encoders import kept_encoders


@pytest.fixture
def made(monkeypatch):
    """The sides of the encoders that are made."""
    sides, start = [], QueryEncoder.__init__

    def note(self, model, side, *args, **kwargs):
        sides.append(side)
        start(self, model, side, *args, **kwargs)

    monkeypatch.setattr(QueryEncoder, "__init__", note)
    return sides


@pytest.fixture(scope="module")
def model(make_random_model):
    return make_random_model(activation="relu")


def expected_of(model, split):
    images = model.encode_images(split.images.astype("float32") / 255)
    texts = model.encode_texts(split.captions)
    return [keras.ops.convert_to_numpy(rows) for rows in (images, texts)]


def assert_right(model, split):
    found = encode(model, split, batch_size=10, verbose=0)
    for rows, expected in zip((found.images, found.texts), expected_of(model, split), strict=True):
        np.testing.assert_allclose(rows, expected, atol=1e-5)


def test_a_second_evaluation_compiles_nothing(model, split, made):
    attacks = {"pgd": PGD(0.1, num_steps=1, seed=0), "words": TokenSubstitution(1, seed=0)}
    reports = [evaluate(model, split, attacks, 10, verbose=0) for _ in range(2)]
    assert made == ["images", "texts", "images", "texts"]
    assert reports[0] == reports[1]


def test_weights_are_read_anew(model, split, made):
    assert_right(model, split)
    made.clear()
    for weight in model.trainable_variables:
        weight.assign(1.5 * weight + 0.1)
    assert_right(model, split)
    assert not made


# On JAX a state whose lists are as long as before would be unpacked in the wrong order.
def swap_what_trains(model):
    first, _, last = model.image_encoder.layers
    first.trainable = not first.trainable
    last.trainable = not first.trainable


def quantize(model):
    model.image_encoder.layers[-1].quantize("int8")


CHANGES = {
    "trainable": swap_what_trains,
    "activation": lambda model: setattr(
        model.image_encoder.layers[1], "activation", keras.activations.tanh
    ),
    "attribute": lambda model: setattr(model.text_encoder, "rate", 0.25),
    "precision": lambda model: setattr(
        model.image_encoder.layers[1], "dtype_policy", "mixed_bfloat16"
    ),
    "lora": lambda model: fine_tuning.enable_lora(model.image_encoder, 1),
    "quantize": quantize,
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_is_compiled_anew(change, make_random_model, split, made):
    model = make_random_model(activation="relu")
    swap_what_trains(model)
    encode(model, split, batch_size=10, verbose=0)
    made.clear()
    CHANGES[change](model)
    assert_right(model, split)
    assert made == ["images", "texts"]


def test_what_is_lent_is_not_lent_twice(model):
    with clean_encoder(model, "images", 3) as first, clean_encoder(model, "images", 3) as second:
        assert first is not second
    with clean_encoder(model, "images", 3) as third:
        assert third in (first, second)


def test_a_model_that_cannot_be_looked_into_keeps_nothing():
    assert kept_encoders(object()) is not kept_encoders(object())


def test_they_go_with_the_model_and_are_not_saved(make_random_model, split, tmp_path):
    model = make_random_model()
    model.save_weights(tmp_path / "before.weights.h5")
    encode(model, split, batch_size=10, verbose=0)
    model.save_weights(tmp_path / "after.weights.h5")
    sizes = [(tmp_path / f"{name}.weights.h5").stat().st_size for name in ("before", "after")]
    assert sizes[0] == sizes[1] and len(model.layers) == 3
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
