"""The model and the gallery of `tests/conftest.py` by short names."""

import pytest


@pytest.fixture(scope="session")
def preprocessor(small_preprocessor):
    return small_preprocessor


@pytest.fixture(scope="session")
def model(small_model):
    return small_model


@pytest.fixture(scope="session")
def gallery(small_gallery):
    return small_gallery
