import pytest

from rocmr_keras.data.emoji.drawings import default_cache_dir
from rocmr_keras.data.emoji.drawings import drawings_in
from rocmr_keras.data.emoji.drawings import rendered
from rocmr_keras.data.images import read_image

CIRCLE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10">
<circle cx="5" cy="5" r="4" fill="#f00"/></svg>"""


@pytest.fixture
def folder(tmp_path):
    for name in ("1f44b.png", "1f44b-1f3fb.png", "1f44b-1f3ff.png", "2764-fe0f.svg", "README.md"):
        (tmp_path / "style").mkdir(exist_ok=True)
        (tmp_path / "style" / name).write_text(CIRCLE)
    return tmp_path / "style"


def test_drawings_by_concept(folder):
    found = drawings_in(folder)
    assert sorted(found) == [("1F44B",), ("2764",)]
    assert [path.name for path in found[("1F44B",)]] == ["1f44b.png"]
    with_tones = drawings_in(folder, skin_tones=True)
    assert sorted(with_tones) == sorted(found) and len(with_tones[("1F44B",)]) == 3


def test_empty_folder(tmp_path):
    with pytest.raises(ValueError, match="named by code points. Received: "):
        drawings_in(tmp_path)


def test_rendering_is_kept(folder, tmp_path):
    pytest.importorskip("resvg_py")
    cache = tmp_path / "cache"
    path = rendered(folder / "2764-fe0f.svg", 20, cache)
    image = read_image(path)
    assert image.shape == (20, 20, 3)
    assert image[0, 0].tolist() == [255, 255, 255] and image[10, 10].tolist() == [255, 0, 0]
    before = path.stat().st_mtime_ns
    assert rendered(folder / "2764-fe0f.svg", 20, cache) == path
    assert path.stat().st_mtime_ns == before
    assert rendered(folder / "2764-fe0f.svg", 30, cache) != path
    assert {file.parent.name for file in cache.rglob("*.*")} == {"20px", "30px"}
    assert len(list(cache.rglob("*.*"))) == 2


def test_other_files_are_not_rendered(folder, tmp_path):
    path = folder / "1f44b.png"
    assert rendered(path, 20, tmp_path / "cache") == path


def test_default_cache_dir(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "datasets" / "rocmr_keras"
    monkeypatch.delenv("KERAS_HOME")
    assert default_cache_dir().is_absolute()
