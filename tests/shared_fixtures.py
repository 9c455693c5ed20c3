"""Fixtures that many rooms share; `conftest.py` loads them.

Of two small worlds that several rooms look at, each thing is made once:

- `colour_*`: six coloured squares and a model whose right answers, and wrong ones, can be
  seen. An image is encoded as its mean colour minus grey, a text as the mean of its words,
  and a colour's word is the corner of the colour cube. So an image is understood if and only
  if no channel of its mean colour crosses the middle, and it takes a budget larger than its
  saturation to change that. `report` is what `evaluate` says of them.
- `small_*`: towers of random weights to be exported, and to fill galleries with.
"""

import functools
import gc
import inspect
import itertools
from importlib import metadata

import keras

if keras.config.backend() == "torch":
    # Before TensorFlow, as Keras itself does: the other order can crash.
    import torch  # noqa: F401

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
from rocmr_keras.export import export_saved_model
from rocmr_keras.gallery import Gallery
from rocmr_keras.models import ConvolutionalImageEncoder
from rocmr_keras.models import DualEncoder
from rocmr_keras.models import TextEncoder

if keras.config.backend() == "jax" and metadata.version("jaxlib").startswith("0.10."):
    # Private, so only where it was seen to work. Making a context of MLIR takes longer than
    # lowering most programs in it. Not one for ever: it keeps the constants of its programs.
    from jax._src.interpreters import mlir

    programs, make_context = itertools.count(), mlir.make_ir_context
    context_of = functools.lru_cache(maxsize=1)(lambda _: make_context())
    mlir.make_ir_context = lambda: context_of(next(programs) // 200)

# Frameworks bring millions of objects that stay. To go through them for each few hundred new ones
# took a tenth of the suite.
gc.set_threshold(50_000, 20, 50)

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
SMALL_VOCABULARY = [
    *SPECIAL, "a", "red", "green", "blue", "square", "some", "##thing", "re", "##d", "é"
]  # fmt: skip

# Blue and cyan are pale: a budget of 0.2 takes them, and them only.
SATURATIONS = (0.35, 0.3, 0.1, 0.35, 0.12, 0.3)


@pytest.fixture(scope="session")
def in_one_go():
    """Compiles a function of arrays on JAX, which else compiles each of its operations alone.

    Worth it where shapes differ from test to test; a step of the package is compiled by Keras.
    """
    if keras.config.backend() != "jax":
        return lambda function: function
    import jax

    return jax.jit


@pytest.fixture(scope="session")
def check_config():
    """Every constructor argument is a config key, and the config rebuilds the object."""

    def check_config(thing):
        config = thing.get_config()
        parameters = inspect.signature(type(thing)).parameters.values()
        named = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD}
        # What is no argument is an option of Keras's own.
        assert named == set(config) if len(named) == len(parameters) else named <= set(config)
        assert type(thing).from_config(thing.get_config()).get_config() == config
        serialized = keras.saving.serialize_keras_object(thing)
        again = keras.saving.deserialize_keras_object(serialized)
        assert type(again) is type(thing)
        assert again.get_config() == config

    return check_config


@pytest.fixture(scope="session")
def assign_weights():
    """Gives a model the same small weights on every backend."""

    def assign_weights(model, seed=0):
        random = np.random.RandomState(seed)
        for weight in model.weights:
            values = 0.2 * random.normal(size=weight.shape)
            if "variance" in weight.path:
                values = 0.5 + np.abs(values)
            weight.assign(values.astype("float32"))

    return assign_weights


@pytest.fixture(scope="session")
def assign_matrices():
    """Gives a model the same large matrices on every backend: its embeddings are all different."""

    def assign_matrices(model, seed):
        random = np.random.RandomState(seed)
        for weight in model.trainable_variables:
            if len(weight.shape) == 2:
                weight.assign(random.normal(size=weight.shape) / np.sqrt(weight.shape[0] / 3))

    return assign_matrices


@pytest.fixture(scope="session")
def state_of():
    """Returns copies of the variables of a layer, or of the state of a seed."""

    def state_of(thing):
        variables = getattr(thing, "variables", None) or [thing.state]
        return [np.array(ops.convert_to_numpy(variable)) for variable in variables]

    return state_of


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
def colour_preprocessor():
    return Preprocessor(VOCABULARY, sequence_length=6, image_size=(4, 4))


@pytest.fixture(scope="session")
def colour_split():
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
def make_colour_model(colour_preprocessor):
    def make_colour_model(contrast=1.0):
        image_encoder = keras.Sequential(
            [
                keras.layers.Input((4, 4, 3)),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Rescaling(contrast, offset=-0.5),
            ]
        )
        return DualEncoder(image_encoder, WordEncoder(), colour_preprocessor)

    return make_colour_model


@pytest.fixture(scope="session")
def colour_model(make_colour_model):
    return make_colour_model()


@pytest.fixture(scope="session")
def colour_threats():
    steady = {"num_steps": 3, "random_start": False, "seed": 0}
    return {
        "pgd": PGD(0.2, **steady),
        "noise": RandomNoise(0.2, seed=0),
        "words": Threat(text_attack=TokenSubstitution(1, num_candidates=8), objective="margin"),
        "strong": Threat(PGD(0.5, **steady), EmbeddingPGD(0.9, **steady), protocol="both"),
    }


@pytest.fixture(scope="session")
def report(colour_model, colour_split, colour_threats):
    """Batches of four: the last one of each modality is filled up."""
    return evaluate(colour_model, colour_split, colour_threats, batch_size=4, verbose=0)


@pytest.fixture(scope="session")
def small_preprocessor():
    return Preprocessor(SMALL_VOCABULARY, sequence_length=6, image_size=(8, 12))


@pytest.fixture(scope="session")
def small_model(small_preprocessor):
    """Towers of random weights, the same on every backend, large enough to tell inputs apart."""
    model = DualEncoder(
        ConvolutionalImageEncoder(stage_widths=(8,), stage_depths=(1,), projection_dim=8),
        TextEncoder(
            small_preprocessor.vocabulary_size,
            6,
            embedding_dim=8,
            num_layers=1,
            num_heads=2,
            projection_dim=8,
        ),
        small_preprocessor,
    )
    random = np.random.RandomState(0)
    for weight in model.trainable_variables:
        if len(weight.shape) >= 2:
            scale = np.sqrt(np.prod(weight.shape[:-1]))
            weight.assign(random.normal(size=weight.shape) / scale)
    return model


@pytest.fixture(scope="session")
def small_gallery():
    """Forty unit vectors; the items 3, 7 and 38 are one and the same."""
    vectors = np.random.default_rng(0).normal(size=(40, 8))
    vectors[[7, 38]] = vectors[3]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = [f"photo {i}.jpg" for i in range(39)] + ["שלום.png"]
    return Gallery(vectors.astype("float32"), ids=np.arange(40) + 100, names=names)


@pytest.fixture(scope="session")
def exported(tmp_path_factory, small_model, small_gallery):
    """The small model and its gallery as version 1 of a folder, and the manifest.

    Elsewhere than on TensorFlow a process of its own writes it: who changes it changes a copy.
    """
    folder = tmp_path_factory.mktemp("exported")
    run = {"flags": {"preset": "rocmr"}, "report": {"clean": {"recall_at_1": 0.5}}}
    return folder, export_saved_model(small_model, folder / "1", small_gallery, run=run)
