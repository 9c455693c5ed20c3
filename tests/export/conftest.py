"""One artefact of the small model and its gallery, exported on the current backend."""

import os
import pathlib
import pickle
import subprocess
import sys

import pytest

ALONE = pathlib.Path(__file__).with_name("alone.py")


@pytest.fixture(scope="session")
def preprocessor(small_preprocessor):
    return small_preprocessor


@pytest.fixture(scope="session")
def model(small_model):
    return small_model


@pytest.fixture(scope="session")
def gallery(small_gallery):
    return small_gallery


@pytest.fixture(scope="session")
def base(exported):
    return exported[0]


@pytest.fixture(scope="session")
def manifest(exported):
    return exported[1]


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
