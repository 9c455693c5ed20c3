"""Six coloured squares and a model whose right answers, and wrong ones, can be seen.

An image is encoded as its mean colour minus grey, a text as the mean of its words, and a
colour's word is the corner of the colour cube. So an image is understood if and only if
no channel of its mean colour crosses the middle, and it takes a budget larger than its
saturation to change that.
"""

import functools

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.attacks import RandomNoise
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.data import Preprocessor
from rocmr_keras.data import Split
from rocmr_keras.evaluation import Threat
from rocmr_keras.evaluation import evaluate
from rocmr_keras.models import DualEncoder
from rocmr_keras.models import TextEncoder

COLOURS = {
    "red": (1, 0, 0),
    "green": (0, 1, 0),
    "blue": (0, 0, 1),
    "yellow": (1, 1, 0),
    "cyan": (0, 1, 1),
    "magenta": (1, 0, 1),
}
SPECIAL = ["[PAD]", "[UNK]", "[START]", "[END]"]
OTHERS = ["a", "the", "square", "thing", "tiny", "large", "round", "flat", "old", "new"]
VOCABULARY = [*SPECIAL, *COLOURS, *OTHERS]

# Blue and cyan are pale: a budget of 0.2 takes them, and them only.
SATURATIONS = (0.35, 0.3, 0.1, 0.35, 0.12, 0.3)


@keras.saving.register_keras_serializable(package="rocmr_keras_tests")
class WordEncoder(keras.Model):
    """The mean of the colours that a text names."""

    projection_dim = 3

    def __init__(self):
        super().__init__()
        self.embedding_table = self.add_weight(
            shape=(len(VOCABULARY), 3), initializer="zeros", name="table"
        )
        self.built = True
        table = np.zeros((len(VOCABULARY), 3), "float32")
        for name, colour in COLOURS.items():
            table[VOCABULARY.index(name)] = np.array(colour) - 0.5
        self.embedding_table.assign(table)

    def embed(self, token_ids):
        return ops.take(ops.convert_to_tensor(self.embedding_table), token_ids, axis=0)

    def encode(self, embeddings, padding_mask, training=False):
        weights = ops.cast(ops.expand_dims(padding_mask, -1), "float32")
        return ops.sum(embeddings * weights, axis=1) / ops.sum(weights, axis=1)


@pytest.fixture(scope="session")
def preprocessor():
    return Preprocessor(VOCABULARY, sequence_length=6, image_size=(4, 4))


@pytest.fixture(scope="session")
def split():
    """Seven images of six colours, ten captions; the last image is a failed red."""
    colours = [
        0.5 + saturation * (2 * np.array(colour) - 1)
        for saturation, colour in zip(SATURATIONS, COLOURS.values())
    ]
    colours.append((0.8, 0.6, 0.2))
    texture = np.random.RandomState(0).uniform(-0.05, 0.05, size=(7, 4, 4, 3))
    texture -= texture.mean(axis=(1, 2), keepdims=True)
    pixels = np.array(colours)[:, None, None] + texture
    captions = [f"a {name} square" for name in COLOURS]
    captions += ["the red thing", "tiny green thing", "large blue", "a new magenta"]
    return Split(
        np.round(255 * pixels).astype("uint8"),
        [0, 1, 2, 3, 4, 5, 0],
        captions,
        [0, 1, 2, 3, 4, 5, 0, 1, 2, 5],
    )


@pytest.fixture(scope="session")
def make_model(preprocessor):
    def make_model(contrast=1.0):
        image_encoder = keras.Sequential(
            [
                keras.layers.Input((4, 4, 3)),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Rescaling(contrast, offset=-0.5),
            ]
        )
        return DualEncoder(image_encoder, WordEncoder(), preprocessor)

    return make_model


@pytest.fixture(scope="session")
def model(make_model):
    return make_model()


@pytest.fixture(scope="session")
def make_random_model(preprocessor):
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
            len(VOCABULARY), 6, embedding_dim=8, num_layers=0, projection_dim=6
        )
        model = DualEncoder(image_encoder, text_encoder, preprocessor)
        random = np.random.RandomState(seed)
        for weight in model.trainable_variables:
            if len(weight.shape) == 2:
                weight.assign(random.normal(size=weight.shape) / np.sqrt(weight.shape[0] / 3))
        return model

    return make_random_model


@pytest.fixture(scope="session")
def random_model(make_random_model):
    return make_random_model()


@pytest.fixture(scope="session")
def threats():
    steady = {"num_steps": 3, "random_start": False, "seed": 0}
    return {
        "pgd": PGD(0.2, **steady),
        "noise": RandomNoise(0.2, seed=0),
        "words": Threat(text_attack=TokenSubstitution(1, num_candidates=8), objective="margin"),
        "strong": Threat(PGD(0.5, **steady), EmbeddingPGD(0.9, **steady), protocol="both"),
    }


@pytest.fixture(scope="session")
def report(model, split, threats):
    """Batches of four: the last one of each modality is filled up."""
    return evaluate(model, split, threats, batch_size=4, verbose=0)


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
