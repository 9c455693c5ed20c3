"""Image files of every kind, and a way to see what is decoded."""

import numpy as np
import pytest

from rocmr_keras.data import Split
from rocmr_keras.data.packs import pack as pack_module


def split_of(paths):
    captions = ["red", "a green square", "blue", "white", "something"]
    ids = range(len(paths))
    return Split(paths, ids, [captions[i % 5] for i in ids], ids, name="files")


@pytest.fixture
def paths(save):
    """Nine files in five formats and several sizes."""
    random = np.random.default_rng(0)

    def noise(*shape):
        return random.integers(0, 256, shape, dtype="uint8")

    return [
        save("alpha.png", noise(7, 9, 4)),
        save("gray_alpha.png", noise(9, 7, 2)),
        save("rgb.png", noise(4, 4, 3)),
        save("palette.png", mode="P"),
        save("photo.jpg", noise(30, 40, 3)),
        save("gray.jpg", noise(12, 9)),
        save("moving.gif", noise(8, 8)),
        save("plain.bmp", noise(6, 5, 3)),
        save("alpha.webp", noise(11, 8, 4), lossless=True),
    ]


@pytest.fixture
def files(paths):
    return split_of(paths)


@pytest.fixture
def decoded(monkeypatch):
    """Chunks of two images; the list of how many were decoded each time."""
    counts, decode = [], pack_module.decode_chunk

    def count(preprocessor, images):
        counts.append(len(images))
        return decode(preprocessor, images)

    monkeypatch.setattr(pack_module, "CHUNK", 2)
    monkeypatch.setattr(pack_module, "decode_chunk", count)
    return counts
