"""Tiny image files that the tests make themselves."""

import numpy as np
import pytest
from PIL import Image

from rocmr_keras.data import Preprocessor
from rocmr_keras.data import Split

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}


@pytest.fixture
def save(tmp_path):
    """Saves an image, of one colour unless `pixels` are given; returns its path."""

    def save(name, pixels=None, mode="RGB", size=(8, 8), colour="red", **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", size, COLOURS[colour]).convert(mode)
        image = image if pixels is None else Image.fromarray(np.asarray(pixels))
        image.save(path, **options)
        return str(path)

    return save


@pytest.fixture
def colours(save):
    """Four images of one colour each, the first with three captions."""
    paths = [save(f"{colour}.png", colour=colour) for colour in COLOURS]
    captions = ["red", "a red square", "something red", "green", "blue", "white"]
    return Split(paths, [3, 5, 7, 9], captions, [3, 3, 3, 5, 7, 9], name="colours")


@pytest.fixture(scope="session")
def preprocessor():
    pieces = ["red", "green", "blue", "white", "a", "some", "##thing", "square", "re", "##d"]
    return Preprocessor(
        ["[PAD]", "[UNK]", "[START]", "[END]", *pieces], sequence_length=6, image_size=(4, 4)
    )
