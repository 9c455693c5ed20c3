"""Tiny trainers and the few facts about backends that tests of compiled steps need."""

import keras
import numpy as np
import pytest

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.models import ConvolutionalImageEncoder
from rocmr_keras.models import DualEncoder
from rocmr_keras.models import TextEncoder
from rocmr_keras.trainers import RoCMR

VOCABULARY_SIZE = 20


@keras.saving.register_keras_serializable(package="rocmr_keras_tests")
class SpecialTokens:
    """A preprocessor of which a trainer needs the special tokens alone."""

    special_token_ids = (0, 1, 2, 3)

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls()


@pytest.fixture(scope="session")
def is_compiled():
    """Whether steps are traced. Torch's are not, and it cannot run several in one go."""
    return keras.config.backend() != "torch"


@pytest.fixture(scope="session")
def compile_options(is_compiled):
    """What only compiled backends do; on torch `jit_compile=True` takes minutes."""
    return {"steps_per_execution": 2, "jit_compile": True} if is_compiled else {}


@pytest.fixture(scope="session")
def is_quicker_eagerly():
    """Whether one step takes less time eagerly than compiled: JAX compiles each operation."""
    return keras.config.backend() != "jax"


@pytest.fixture(scope="session")
def make_batch():
    """Pairs that can be learnt: a caption's words go with the brightness of its image."""

    def make_batch(size=4, seed=0, image_size=8):
        random = np.random.RandomState(seed)
        token_ids = np.zeros((size, 6), "int32")
        token_ids[:, 0] = 2
        images = random.uniform(0.0, 0.2, size=(size, image_size, image_size, 3))
        for index in range(size):
            words = 4 + (index + np.arange(2 + index % 3)) % (VOCABULARY_SIZE - 4)
            token_ids[index, 1 : 1 + len(words)] = words
            token_ids[index, 1 + len(words)] = 3
            images[index, index % image_size, :, index % 3] += 0.8
        # The last two are two drawings of one thing.
        image_ids = np.minimum(np.arange(size), size - 2).astype("int32")
        return {
            "images": images.astype("float32"),
            "token_ids": token_ids,
            "padding_mask": token_ids != 0,
            "image_ids": image_ids,
        }

    return make_batch


@pytest.fixture(scope="session")
def batch(make_batch):
    return make_batch()


@pytest.fixture(scope="session")
def make_model():
    def make_model(num_layers=0, normalization="none", dropout=0.0, **options):
        image_encoder = ConvolutionalImageEncoder(
            8, (8,), (1,), stem_stride=2, normalization=normalization
        )
        text_encoder = TextEncoder(
            VOCABULARY_SIZE, 6, 8, num_layers, num_heads=2, projection_dim=8, dropout=dropout
        )
        options = {"preprocessor": SpecialTokens(), **options}
        return DualEncoder(image_encoder, text_encoder, **options)

    return make_model


@pytest.fixture(scope="session")
def make_flat_model():
    """A model without convolutions: the quickest to compile."""

    def make_flat_model(image_size=8, regularizer=None):
        image_encoder = keras.Sequential(
            [
                keras.layers.Input((image_size, image_size, 3)),
                keras.layers.Flatten(),
                keras.layers.Dense(8, kernel_regularizer=regularizer),
            ]
        )
        text_encoder = TextEncoder(VOCABULARY_SIZE, 6, 8, 0, projection_dim=8)
        return DualEncoder(image_encoder, text_encoder, preprocessor=SpecialTokens())

    return make_flat_model


@pytest.fixture(scope="session")
def make_attacks():
    def make_attacks(random_start=False, num_steps=1):
        options = {"num_steps": num_steps, "keep_best": False, "random_start": random_start}
        return {
            "image_attack": PGD(0.05, seed=1, **options),
            "text_attack": EmbeddingPGD(0.3, seed=2, **options),
        }

    return make_attacks


@pytest.fixture(scope="session")
def make_trainer(make_flat_model, make_attacks):
    def make_trainer(terms="rocmr", model=None, **options):
        return RoCMR(model or make_flat_model(), terms=terms, **{**make_attacks(), **options})

    return make_trainer


@pytest.fixture(scope="session")
def make_anchored(make_flat_model):
    """A trainer of `fare` or `leaf`, whose other side is frozen."""

    def make_anchored(terms="fare", model=None, num_steps=1, **options):
        model = model or make_flat_model()
        if terms == "leaf":
            attack = {"text_attack": EmbeddingPGD(0.3, num_steps, keep_best=False, seed=2)}
            model.freeze(images="all", similarity=True)
        else:
            attack = {"image_attack": PGD(0.05, num_steps, keep_best=False, seed=1)}
            model.freeze(texts="all", similarity=True)
        return RoCMR(model, terms=terms, **{**attack, **options})

    return make_anchored


@pytest.fixture
def set_policy():
    """Sets the precision for one test."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)
