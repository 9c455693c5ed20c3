import shutil

import numpy as np
import pytest

from rocmr_keras.data import Split
from rocmr_keras.data import check_leaks

PIXELS = np.random.default_rng(0).integers(0, 256, (700, 4, 4, 3), dtype="uint8")


def make_split(images):
    return Split(images, range(len(images)), ["x"] * len(images), range(len(images)))


def test_a_copy_under_another_name(save, tmp_path):
    a, b, c = save("a.png"), save("b.png", colour="blue"), save("c.png", size=(9, 9))
    check_leaks({"train": make_split([a]), "test": make_split([b, c])})
    shutil.copy(a, tmp_path / "copy.png")
    splits = {"train": make_split([b, a]), "test": make_split([c, str(tmp_path / "copy.png")])}
    with pytest.raises(ValueError, match="1 images .*a.png' in 'train' and .*copy.png' in 'test'"):
        check_leaks(splits)


def test_copies_within_a_split_are_no_leak(save, tmp_path):
    a, b = save("a.png"), save("b.png", colour="blue")
    shutil.copy(a, tmp_path / "copy.png")
    check_leaks({"train": make_split([a, str(tmp_path / "copy.png")]), "test": make_split([b])})


def test_arrays_and_progress(capsys):
    train, test = make_split(PIXELS[:600]), make_split(PIXELS[600:])
    check_leaks({"train": train, "test": test})
    assert "256 images read" in capsys.readouterr().out
    check_leaks({"train": train, "test": make_split(PIXELS[:9] / np.float32(255))}, verbose=0)
    with pytest.raises(ValueError, match="image 599 in 'train' and image 0 in 'test'. Remove"):
        check_leaks({"train": train, "test": make_split(PIXELS[599:])}, verbose=0)
    assert not capsys.readouterr().out
