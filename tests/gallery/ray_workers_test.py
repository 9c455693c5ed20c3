"""Ray embeds what one process would, though a worker is killed."""

import sys

import numpy as np
import pytest
from PIL import Image

from rocmr_keras.gallery import RayWorkers
from rocmr_keras.gallery import build_gallery

# Killed is the worker that first unpickles the path: in the middle of its work.
KILL = "(open({0!r}, 'x').close(), __import__('os').kill(__import__('os').getpid(), 9))"
ONCE = KILL + " if not __import__('os').path.exists({0!r}) else {1!r}"


class Deadly(str):
    """The path of an image that kills one process that it is sent to."""

    marker = None

    def __reduce__(self):
        return eval, (ONCE.format(self.marker, str(self)),)


@pytest.fixture
def paths(tmp_path):
    draw = np.random.default_rng(3)
    (tmp_path / "images").mkdir()
    for place in range(12):
        pixels = draw.integers(0, 256, (8, 12, 3), dtype="uint8")
        Image.fromarray(pixels).save(tmp_path / "images" / f"{place}.png")
    return [str(tmp_path / "images" / f"{place}.png") for place in range(12)]


@pytest.mark.filterwarnings("ignore")
def test_a_killed_worker_loses_nothing(model, paths, tmp_path):
    pytest.importorskip("ray")
    deadly = Deadly(paths[5])
    deadly.marker = str(tmp_path / "killed")
    with open(paths[10], "wb") as file:
        file.write(b"garbage")
    items = [*paths[:5], deadly, *paths[6:]]
    options = {"batch_size": 2, "max_bad_fraction": 0.1, "verbose": 0}
    with pytest.warns(UserWarning, match="Left out 1 unreadable images: 10.png"):
        gallery = build_gallery(model, items, workers=RayWorkers(2), **options)
    assert (tmp_path / "killed").exists()
    with pytest.warns(UserWarning, match="Left out 1 unreadable images: 10.png"):
        expected = build_gallery(model, paths, **options)
    assert gallery.ids.tolist() == [*range(10), 11] and gallery.names == expected.names
    np.testing.assert_array_equal(gallery.vectors, expected.vectors)


def test_mistakes(monkeypatch):
    with pytest.raises(ValueError, match="`count` must be 1 or more. Received: count=0"):
        RayWorkers(0)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r'pip install "rocmr-keras\[ray\]"'):
        RayWorkers(1)
