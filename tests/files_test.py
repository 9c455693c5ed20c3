import pytest

from rocmr_keras.export import next_version
from rocmr_keras.files import new_folder


def test_next_version(tmp_path):
    assert next_version(tmp_path / "new") == str(tmp_path / "new" / "1")
    for name in ("1", "9", "10", ".11.77.writing", "notes"):
        (tmp_path / name).mkdir()
    assert next_version(tmp_path) == str(tmp_path / "11")


def test_whole_or_not_at_all(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with new_folder(tmp_path / "1") as folder:
            (folder / "file").write_text("half")
            # Nothing that a server takes for a version.
            assert [path.name[0] for path in tmp_path.iterdir()] == ["."]
            raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_overwritten_only_when_all_went_well(tmp_path):
    path = tmp_path / "1"
    path.mkdir()
    (path / "old").write_text("old")
    with pytest.raises(OSError):
        with new_folder(path, overwrite=True):
            raise OSError
    assert (path / "old").exists()
    with new_folder(path, overwrite=True) as folder:
        (folder / "new").write_text("new")
    assert [file.name for file in path.iterdir()] == ["new"]
    assert [folder.name for folder in tmp_path.iterdir()] == ["1"]
    with pytest.raises(ValueError, match="must not exist"):
        with new_folder(path):
            pass
