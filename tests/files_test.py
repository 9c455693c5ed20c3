import os

import pytest

from rocmr_keras.export import latest_version
from rocmr_keras.export import next_version
from rocmr_keras.files import new_folder
from rocmr_keras.files import replacing
from rocmr_keras.files import write_part


def test_next_version(tmp_path):
    assert next_version(tmp_path / "new") == str(tmp_path / "new" / "1")
    for name in ("1", "9", "10", ".11.77.writing", "notes"):
        (tmp_path / name).mkdir()
    assert next_version(tmp_path) == str(tmp_path / "11")
    assert latest_version(tmp_path) == str(tmp_path / "10")
    with pytest.raises(ValueError, match="must hold the folder of a version.*/new' without one"):
        latest_version(tmp_path / "new")


def test_whole_or_not_at_all(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with new_folder(tmp_path / "1") as folder:
            (folder / "file").write_text("half")
            # Nothing that a server takes for a version.
            assert [path.name[0] for path in tmp_path.iterdir()] == ["."]
            raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_part_of_a_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    write_part(path, 3, b"abc")
    assert path.read_bytes() == b"012abc6789"


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


@pytest.fixture
def old(tmp_path):
    """A file that a failed write must leave alone."""
    path = tmp_path / "state.npz"
    path.write_text("old")
    return path


def assert_untouched(path):
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert path.read_text() == "old"


def test_replaced_when_all_went_well(old):
    with replacing(old) as temporary:
        # Nothing that a server or a pattern takes for the file, yet with its ending.
        assert temporary.parent == old.parent and temporary.name[0] == "."
        assert temporary.suffix == ".npz"
        temporary.write_text("new")
        assert old.read_text() == "old"
    assert [file.name for file in old.parent.iterdir()] == ["state.npz"]
    assert old.read_text() == "new"


def test_the_folder_is_made(tmp_path):
    with replacing(str(tmp_path / "runs" / "a" / "flags")) as temporary:
        temporary.write_text("new")
    assert (tmp_path / "runs" / "a" / "flags").read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_the_old_file(old, error):
    with pytest.raises(error):
        with replacing(old, previous=f"{old}.previous") as temporary:
            temporary.write_text("half")
            raise error
    assert_untouched(old)


def test_a_full_disk_leaves_the_old_file(old):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.raises(OSError):
        with replacing(old) as temporary:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
            try:
                temporary.write_bytes(bytes(200_000))
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert_untouched(old)


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_what_fails_after_the_writing_leaves_the_old_file(old, monkeypatch, name):
    """A disk may say only when flushed that it is full."""
    right = getattr(os, name)

    def fails(source, *target):
        # Moving the old file away and back works.
        if name == "fsync" or ".writing" in str(source):
            raise OSError("disk full")
        return right(source, *target)

    monkeypatch.setattr(os, name, fails)
    with pytest.raises(OSError, match="disk full"):
        with replacing(old, previous=f"{old}.previous") as temporary:
            temporary.write_text("new")
    assert_untouched(old)


def test_the_file_before_may_be_kept(old):
    for text in ("new", "newest"):
        with replacing(old, previous=f"{old}.previous") as temporary:
            temporary.write_text(text)
    assert sorted(file.name for file in old.parent.iterdir()) == ["state.npz", "state.npz.previous"]
    assert old.read_text() == "newest"
    assert old.with_name("state.npz.previous").read_text() == "new"


def test_nothing_written_is_an_error(old):
    with pytest.raises(FileNotFoundError):
        with replacing(old):
            pass
    assert_untouched(old)
