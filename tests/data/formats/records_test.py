import json

import pytest

from rocmr_keras.data.formats.records import Record
from rocmr_keras.data.formats.records import field
from rocmr_keras.data.formats.records import files_by_split
from rocmr_keras.data.formats.records import make_splits
from rocmr_keras.data.formats.records import read_json
from rocmr_keras.data.formats.records import split_name


def test_splits(save):
    a, b, c = save("a.png"), save("b.png"), save("c.png")
    records = [Record("test", a, ["x"]), Record("train", b, ["y"]), Record("train", c, ["z"])]
    splits = make_splits(records)
    assert list(splits) == ["train", "test"]
    assert splits["train"].images == [b, c] and splits["train"].captions == ["y", "z"]
    assert not set(splits["train"].image_ids) & set(splits["test"].image_ids)


def test_records_of_one_image_are_one_image(save):
    path = save("a.png")
    split = make_splits([Record("train", path, ["x"]), Record("train", path, ["y"])])["train"]
    assert len(split) == 1 and split.captions == ["x", "y"]


def test_skipped_is_told_by_split(save, tmp_path):
    records = [Record("train", save("a.png"), ["x"]), Record("test", save("b.png"), ["y"])]
    lost = str(tmp_path / "lost.png")
    with pytest.warns(UserWarning, match="lost.png"):
        splits = make_splits([*records, Record("test", lost, ["z"])], max_bad_fraction=0.5)
    assert splits["train"].skipped == {}
    assert splits["test"].skipped == {"bad items": [f"{lost}: no such file"]}


def test_image_in_two_splits(save):
    path = save("a.png")
    with pytest.raises(ValueError, match="one split only.*a.png' in 'test' and in 'train'"):
        make_splits([Record("train", path, ["x"]), Record("test", path, ["x"])])


@pytest.mark.parametrize("spell", ["dots", "link"])
def test_one_file_in_two_spellings(spell, save, tmp_path):
    path = save("a.png")
    other = f"{tmp_path}/./a.png" if spell == "dots" else str(tmp_path / "linked.png")
    if spell == "link":
        (tmp_path / "linked.png").symlink_to(path)
    with pytest.raises(ValueError, match="one split only.* in 'test' and as .*a.png' in 'train'"):
        make_splits([Record("train", path, ["x"]), Record("test", other, ["x"])])
    merged = make_splits([Record("train", path, ["x"]), Record("train", other, ["y"])])["train"]
    assert len(merged) == 1 and merged.captions == ["x", "y"]


def test_nothing_left():
    with pytest.raises(ValueError, match="at least one image.*Received: none"):
        make_splits([])


@pytest.mark.parametrize("name", ["val", "validation", "dev", " Val "])
def test_names_of_splits(name):
    assert split_name(name, "there") == "validation"


def test_unknown_split():
    with pytest.raises(ValueError, match="Received: 'holdout' in there"):
        split_name("holdout", "there")


@pytest.mark.parametrize(
    "files, expected",
    [
        ("x/flickr30k_test.json", [("test", "x/flickr30k_test.json")]),
        (["a_train.json", "captions_val2017.json"], ["train", "validation"]),
        ("Flickr_8k.devImages.txt", ["validation"]),
        ({"test": "x.json", "train": ["y", "z"]}, ["test", "train", "train"]),
        ((), []),
    ],
)
def test_files_by_split(files, expected):
    found = files_by_split(files)
    assert found == expected or [split for split, _ in found] == expected


@pytest.mark.parametrize("name", ["captions.json", "train_and_test.json"])
def test_file_of_no_split(name):
    with pytest.raises(ValueError, match=f"Received: '{name}'. Pass a dict"):
        files_by_split(name)


def test_read_json(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps([1]))
    assert read_json(path, list) == [1]
    with pytest.raises(
        ValueError, match="must hold a dict. Received: .*x.json', which holds a list"
    ):
        read_json(path, dict)
    path.write_text("[1, ")
    with pytest.raises(ValueError, match="must be JSON. Received: .*x.json'"):
        read_json(path, list)


@pytest.mark.parametrize("entry", [{"b": 1}, [1], None])
def test_missing_field(entry):
    with pytest.raises(ValueError, match="Every entry of there must have a 'a'"):
        field(entry, "a", "there")
