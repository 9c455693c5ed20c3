"""A small world to attack: pictures of noise, captions of random words, towers that fit them.

The image tower is a random body with a readout that least squares fits to the captions, so
that without training, and on every backend alike, each picture finds its caption and lies
near a border that an attack can cross.
"""

import functools

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.data import Preprocessor
from rocmr_keras.data import Split
from rocmr_keras.models import DualEncoder

NUM_IMAGES, NUM_WORDS, LENGTH, WIDTH = 32, 4, 8, 8


class Words(keras.Model):
    """The sum of the words, each seen through the glasses of its place where there are some."""

    projection_dim = WIDTH

    def __init__(self, table, places=None, unit_tokens=False):
        super().__init__()
        self.embedding_table = self.add_weight(shape=table.shape, name="table")
        self.embedding_table.assign(table)
        self.places, self.unit_tokens = places, unit_tokens
        self.built = True

    def embed(self, token_ids):
        return ops.take(ops.convert_to_tensor(self.embedding_table), token_ids, axis=0)

    def encode(self, embeddings, padding_mask, training=False):
        if self.unit_tokens:
            embeddings = ops.normalize(embeddings, axis=-1)
        if self.places is not None:
            places = ops.convert_to_tensor(self.places)
            embeddings = ops.tanh(ops.einsum("bld,lde->ble", embeddings, places))
        return ops.sum(embeddings * ops.cast(padding_mask[..., None], "float32"), axis=1)


@pytest.fixture(scope="session")
def make_world():
    """Returns a preprocessor, which traces its tokenizer once, and a split of noise and words."""

    @functools.cache
    def make_world(num_tokens=80):
        random = np.random.RandomState(0)
        words = [f"word{index}" for index in range(num_tokens)]
        vocabulary = ["[PAD]", "[UNK]", "[START]", "[END]", *words]
        pixels = np.round(random.uniform(25, 230, (NUM_IMAGES, 4, 4, 3))).astype("uint8")
        captions = [" ".join(random.choice(words, NUM_WORDS)) for _ in range(NUM_IMAGES)]
        ids = list(range(NUM_IMAGES))
        preprocessor = Preprocessor(vocabulary, sequence_length=LENGTH, image_size=(4, 4))
        return preprocessor, Split(pixels, ids, captions, ids)

    return make_world


def make_texts(vocabulary_size, kind):
    random = np.random.RandomState(1)
    table = random.normal(size=(vocabulary_size, WIDTH)).astype("float32")
    places = random.normal(size=(LENGTH, WIDTH, WIDTH)).astype("float32") / WIDTH**0.5
    if kind == "unit tokens":
        table /= np.linalg.norm(table, axis=1, keepdims=True)
    return Words(table, None if kind == "bag of words" else places, kind == "unit tokens")


BODIES = {
    "dense": lambda: [keras.layers.Flatten(), keras.layers.Dense(96, "gelu")],
    "max pooling": lambda: [
        keras.layers.Conv2D(32, 3, padding="same"),
        keras.layers.LeakyReLU(),
        keras.layers.MaxPooling2D(2),
        keras.layers.Flatten(),
    ],
    "normalised": lambda: [
        keras.layers.Conv2D(16, 3, padding="same"),
        keras.layers.GroupNormalization(4),
        keras.layers.ReLU(),
        keras.layers.Conv2D(16, 3, padding="same"),
        keras.layers.BatchNormalization(),
        keras.layers.ReLU(),
        keras.layers.Flatten(),
    ],
}


def make_images(body):
    layers = BODIES[body]()
    model = keras.Sequential([keras.Input((4, 4, 3)), *layers, keras.layers.Dense(WIDTH)])
    random = np.random.RandomState(2)
    for weight in model.trainable_variables:
        if len(weight.shape) > 1:
            fan_in = np.prod(weight.shape[:-1])
            weight.assign(random.normal(size=weight.shape) * np.sqrt(2 / fan_in))
    return model


@pytest.fixture(scope="session")
def make_fitted(make_world):
    """Returns a model that is right on its split, and the split."""

    def make_fitted(body="dense", texts="places", num_tokens=80, defend=None, **options):
        preprocessor, split = make_world(num_tokens)
        model = DualEncoder(
            make_images(body),
            make_texts(preprocessor.vocabulary_size, texts),
            preprocessor,
            **options,
        )
        images = ops.convert_to_tensor(preprocessor.load_images(list(split.images)))
        fit_readout(model, images if defend is None else defend(images), split.captions)
        return model, split

    return make_fitted


def fit_readout(model, images, captions):
    tower = model.image_encoder
    for layer in tower.layers[:-1]:
        if isinstance(layer, keras.layers.BatchNormalization):
            values = ops.convert_to_numpy(images)
            axes = tuple(range(values.ndim - 1))
            layer.moving_mean.assign(values.mean(axes))
            layer.moving_variance.assign(values.var(axes))
        images = layer(images, training=False)
    features = ops.convert_to_numpy(images)
    texts = ops.convert_to_numpy(model.encode_texts(captions))
    extended = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    # Ridge regression: without the penalty the weights would be huge, and so the gradient.
    penalty = 1e-3 * len(features) * np.eye(len(features))
    readout = extended.T @ np.linalg.solve(extended @ extended.T + penalty, texts)
    tower.layers[-1].kernel.assign(readout[:-1])
    tower.layers[-1].bias.assign(readout[-1])
