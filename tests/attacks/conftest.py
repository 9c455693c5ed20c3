"""A tiny dual encoder, its batch and the checks that every attack must pass."""

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import Target
from rocmr_keras.attacks import encode_adversarial_texts
from rocmr_keras.attacks import objectives
from rocmr_keras.models import DualEncoder
from rocmr_keras.models import TextEncoder

VOCABULARY_SIZE = 50


class FakePreprocessor:
    """Ids 0 to 3 are [PAD], [UNK], [START] and [END]."""

    special_token_ids = (0, 1, 2, 3)


def unit_rows(random, shape):
    rows = random.normal(size=shape)
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype("float32")


@pytest.fixture
def check_budget():
    """No image leaves the ball or the box; `epsilon` 0 leaves every bit as it was."""

    def check(found, images, epsilon, norm="linf", value_range=(0.0, 1.0)):
        assert keras.backend.standardize_dtype(found.dtype) == "float32"
        found = ops.convert_to_numpy(found)
        moved = (found.astype("float64") - images).reshape(len(images), -1)
        order = {"linf": np.inf, "l2": 2}[norm]
        assert np.linalg.norm(moved, order, axis=1).max() <= epsilon + 1.2e-7
        assert found.min() >= value_range[0] and found.max() <= value_range[1]
        if epsilon == 0:
            np.testing.assert_array_equal(found, images)

    return check


@pytest.fixture(scope="session")
def images():
    """Float32 `(4, 4, 4, 3)`; a fifth of the pixels sit on the edges of the box."""
    pixels = np.random.RandomState(0).uniform(-0.1, 1.1, size=(4, 4, 4, 3))
    return np.clip(pixels, 0.0, 1.0).astype("float32")


@pytest.fixture(scope="session")
def batch(images):
    """The last text has no token that may change; the second has an [UNK]."""
    token_ids = [[2, 7, 9, 30, 3, 0], [2, 8, 1, 11, 12, 3], [2, 5, 3, 0, 0, 0], [2, 3, 0, 0, 0, 0]]
    token_ids = np.array(token_ids, "int32")
    return {
        "images": images,
        "token_ids": token_ids,
        "padding_mask": token_ids != 0,
        "image_ids": np.array([0, 1, 2, 1], "int32"),
    }


@pytest.fixture(scope="session")
def ordinary(batch):
    """Bool `(4, 6)`: neither padding nor special."""
    return batch["token_ids"] > 3


@pytest.fixture(scope="session")
def gallery():
    return unit_rows(np.random.RandomState(1), (5, 6))


@pytest.fixture(scope="session")
def gallery_ids():
    return np.array([0, 1, 1, 2, 3], "int32")


@pytest.fixture(scope="session")
def make_target(batch, gallery, gallery_ids):
    """Builds the target of the batch or of some of its rows, for either modality."""

    def make(rows=slice(None), clean=None):
        positives = ops.convert_to_tensor(batch["image_ids"][rows, None] == gallery_ids)
        return Target(ops.convert_to_tensor(gallery), positives, scale=5.0, clean=clean)

    return make


@pytest.fixture(scope="session")
def make_model(assign_matrices):
    """Builds the tiny dual encoder, with the same weights on every backend."""

    def make(policy="float32", image_layers=(), text_class=TextEncoder):
        image_encoder = keras.Sequential(
            [
                keras.Input((4, 4, 3)),
                keras.layers.Flatten(dtype=policy),
                keras.layers.Dense(8, activation="tanh", dtype=policy),
                *image_layers,
                keras.layers.Dense(6, dtype=policy),
            ]
        )
        text_encoder = text_class(
            VOCABULARY_SIZE, 6, embedding_dim=8, num_layers=0, projection_dim=6, dtype=policy
        )
        model = DualEncoder(image_encoder, text_encoder, FakePreprocessor())
        assign_matrices(model, seed=2)
        return model

    return make


@pytest.fixture(scope="session")
def model(make_model):
    return make_model()


@pytest.fixture(scope="session", params=["float32", "mixed_bfloat16"])
def tower(request, make_model):
    return make_model(request.param)


@pytest.fixture(scope="session")
def losses_of(make_target):
    """Returns the losses of images or adversarial texts through a model, as NumPy."""

    def losses_of(model, found, batch=None, objective="contrastive"):
        if batch is None:
            embeddings = model.encode_images(found)
        else:
            embeddings = encode_adversarial_texts(model, {**batch, **found})
        return ops.convert_to_numpy(objectives.get(objective)(embeddings, make_target()))

    return losses_of
