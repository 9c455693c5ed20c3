import pytest
from PIL import Image

from rocmr_keras.data import Split
from rocmr_keras.serving import Thumbnails


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "fruit").mkdir()
    Image.new("RGB", (4, 4), "red").save(tmp_path / "fruit" / "red apple.png")
    Image.new("RGB", (4, 4), "blue").save(tmp_path / "sea.jpg")
    (tmp_path / "secret.txt").write_text("secret")
    return tmp_path


def test_folder(folder):
    thumbnails = Thumbnails.from_folder(folder)
    assert list(thumbnails.paths) == ["fruit/red apple.png", "sea.jpg"]
    contents = (folder / "fruit" / "red apple.png").read_bytes()
    assert thumbnails.read("fruit/red apple.png") == (contents, "image/png")
    assert thumbnails.read("sea.jpg")[1] == "image/jpeg"


@pytest.mark.parametrize("name", ["", "secret.txt", "../sea.jpg", "./sea.jpg", "fruit/../sea.jpg"])
def test_only_known_names(folder, name):
    assert Thumbnails.from_folder(folder).read(name) is None


def test_split(folder):
    paths = [str(folder / "sea.jpg"), str(folder / "fruit" / "red apple.png")]
    split = Split(paths, [0, 1], ["the sea", "an apple", "waves"], [0, 1, 0])
    thumbnails = Thumbnails.from_split(split)
    assert thumbnails.labels == {"sea.jpg": "the sea", "red apple.png": "an apple"}
    assert thumbnails.read("sea.jpg")[0] == (folder / "sea.jpg").read_bytes()


def test_sample():
    thumbnails = Thumbnails({str(number): "a.png" for number in range(10)})
    assert thumbnails.sample(4) == ["0", "2", "5", "7"]
    assert thumbnails.sample(20) == list(thumbnails.paths)


def test_no_pictures(folder):
    with pytest.raises(ValueError, match="`paths` must name images.*Received: none"):
        Thumbnails({})
    with pytest.raises(ValueError, match="secret.txt"):
        Thumbnails({"a": folder / "secret.txt"})
