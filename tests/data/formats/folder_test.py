import pytest

from rocmr_keras.data import load


def write_pair(save, tmp_path, name, text):
    save(f"{name}.jpg")
    (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")


def test_one_folder(save, tmp_path):
    write_pair(save, tmp_path, "b", "two\nthree\n")
    write_pair(save, tmp_path, "a", "one")
    (tmp_path / "notes.md").write_text("not a caption")
    split = load("folder", images=tmp_path)["train"]
    assert split.captions == ["one", "two", "three"] and len(split) == 2


def test_folders_are_splits(save, tmp_path):
    write_pair(save, tmp_path, "train/a", "one")
    write_pair(save, tmp_path, "test/a", "two")
    splits = load("folder", images=tmp_path)
    assert {name: split.captions for name, split in splits.items()} == {
        "train": ["one"],
        "test": ["two"],
    }


def test_what_has_no_other_half(save, tmp_path):
    write_pair(save, tmp_path, "a", "one")
    save("silent.png")
    (tmp_path / "blind.txt").write_text("nothing to see")
    with pytest.warns(UserWarning) as caught:
        splits = load("folder", images=tmp_path, max_bad_fraction=0.7)
    message = str(caught[0].message)
    assert "silent.png: no caption" in message and "blind.*: no such file" in message
    assert len(splits["train"]) == 1


def test_empty_folder(tmp_path):
    with pytest.raises(ValueError, match="at least one image"):
        load("folder", images=tmp_path)
