"""The coloured squares of `tests/conftest.py` by short names, and towers of random weights."""

import functools

import keras
import pytest

from rocmr_keras.models import DualEncoder
from rocmr_keras.models import TextEncoder


@pytest.fixture(scope="session")
def preprocessor(colour_preprocessor):
    return colour_preprocessor


@pytest.fixture(scope="session")
def split(colour_split):
    return colour_split


@pytest.fixture(scope="session")
def make_model(make_colour_model):
    return make_colour_model


@pytest.fixture(scope="session")
def model(colour_model):
    return colour_model


@pytest.fixture(scope="session")
def threats(colour_threats):
    return colour_threats


@pytest.fixture(scope="session")
def make_random_model(preprocessor, assign_matrices):
    """Towers of random weights, the same on every backend: nothing is right, all is smooth."""

    def make_random_model(seed=0, activation="tanh"):
        image_encoder = keras.Sequential(
            [
                keras.Input((4, 4, 3)),
                keras.layers.Flatten(),
                keras.layers.Dense(12, activation=activation),
                keras.layers.Dense(6),
            ]
        )
        text_encoder = TextEncoder(
            preprocessor.vocabulary_size, 6, embedding_dim=8, num_layers=0, projection_dim=6
        )
        model = DualEncoder(image_encoder, text_encoder, preprocessor)
        assign_matrices(model, seed)
        return model

    return make_random_model


@pytest.fixture(scope="session")
def random_model(make_random_model):
    return make_random_model()


@pytest.fixture(scope="module")
def eagerly():
    """Runs every attack of a module uncompiled: compiling takes longer than they do.

    Compiled attacks are tested in `recall_report_test.py`, `encoding/queries_test.py` and, one by
    one, in `tests/attacks/query_encoder_test.py`.
    """
    with pytest.MonkeyPatch.context() as patch:
        eager = functools.partialmethod(keras.Model.compile, run_eagerly=True)
        patch.setattr(keras.Model, "compile", eager)
        yield
