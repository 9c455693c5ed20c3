"""One small model, one gallery and one artefact of them, exported on the current backend."""

import os
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest

from rocmr_keras.data import Preprocessor
from rocmr_keras.export import export_saved_model
from rocmr_keras.gallery import Gallery
from rocmr_keras.models import ConvolutionalImageEncoder
from rocmr_keras.models import DualEncoder
from rocmr_keras.models import TextEncoder

WORDS = ["a", "red", "green", "blue", "square", "some", "##thing", "re", "##d", "é"]
ALONE = pathlib.Path(__file__).with_name("alone.py")


@pytest.fixture(scope="session")
def preprocessor():
    vocabulary = ["[PAD]", "[UNK]", "[START]", "[END]", *WORDS]
    return Preprocessor(vocabulary, sequence_length=6, image_size=(8, 12))


@pytest.fixture(scope="session")
def model(preprocessor):
    """Towers of random weights, the same on every backend, large enough to tell inputs apart."""
    model = DualEncoder(
        ConvolutionalImageEncoder(stage_widths=(8,), stage_depths=(1,), projection_dim=8),
        TextEncoder(
            preprocessor.vocabulary_size,
            6,
            embedding_dim=8,
            num_layers=1,
            num_heads=2,
            projection_dim=8,
        ),
        preprocessor,
    )
    random = np.random.RandomState(0)
    for weight in model.trainable_variables:
        if len(weight.shape) >= 2:
            scale = np.sqrt(np.prod(weight.shape[:-1]))
            weight.assign(random.normal(size=weight.shape) / scale)
    return model


@pytest.fixture(scope="session")
def gallery(preprocessor):
    """Forty unit vectors; the items 3, 7 and 38 are one and the same."""
    vectors = np.random.default_rng(0).normal(size=(40, 8))
    vectors[[7, 38]] = vectors[3]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = [f"photo {i}.jpg" for i in range(39)] + ["שלום.png"]
    return Gallery(vectors.astype("float32"), ids=np.arange(40) + 100, names=names)


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    return tmp_path_factory.mktemp("serving")


@pytest.fixture(scope="session")
def manifest(base, model, gallery):
    flags, report = {"preset": "rocmr"}, {"clean": {"recall_at_1": 0.5}}
    return export_saved_model(model, base / "1", gallery, flags=flags, report=report)


@pytest.fixture(scope="session")
def artefact(base, manifest):
    return base / "1"


@pytest.fixture(scope="session")
def ask_alone(tmp_path_factory):
    """Asks an artefact in a process that has neither Keras nor this package."""

    def ask_alone(artefact, calls):
        folder = tmp_path_factory.mktemp("alone")
        paths = [str(folder / "calls.pickle"), str(folder / "answers.pickle")]
        with open(paths[0], "wb") as file:
            pickle.dump(calls, file)
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        command = [sys.executable, str(ALONE), str(artefact), *paths]
        result = subprocess.run(
            command, capture_output=True, text=True, cwd=folder, env=environment
        )
        assert result.returncode == 0, result.stderr
        with open(paths[1], "rb") as file:
            return pickle.load(file)

    return ask_alone
