import json

import pytest

from rocmr_keras.data import load


@pytest.fixture
def given(tmp_path, save):
    for name in ("one", "two"):
        save(f"images/val2014/{name}.jpg")
    test = [
        {"image": "val2014/one.jpg", "caption": ["A Dog ", "a dog runs. ", "3", "4", "5", "6"]},
        {"image": "val2014/two.jpg", "caption": ["A cat"]},
    ]
    (tmp_path / "made_test.json").write_text(json.dumps(test))
    return {"captions": tmp_path / "made_test.json", "images": tmp_path / "images"}


def test_test_list(given):
    splits = load("albef", **given)
    assert list(splits) == ["test"]
    assert splits["test"].captions == ["A Dog", "a dog runs.", "3", "4", "5", "6", "A cat"]
    assert len(splits["test"]) == 2


def test_train_list_has_a_record_for_each_caption(given, tmp_path, save):
    save("images/a.jpg")
    records = [{"image": "a.jpg", "caption": c, "image_id": "coco_1"} for c in ("x", "y")]
    (tmp_path / "x.json").write_text(json.dumps(records))
    captions = {"train": [tmp_path / "x.json"], "test": given["captions"]}
    splits = load("albef", captions=captions, images=given["images"])
    assert len(splits["train"]) == 1 and splits["train"].captions == ["x", "y"]
    assert len(splits["test"]) == 2


def test_other_formats_are_told(given):
    given["captions"].write_text(json.dumps({"images": []}))
    with pytest.raises(ValueError, match="must hold a list.*holds a dict"):
        load("albef", **given)
    given["captions"].write_text(json.dumps([{"file": "a.jpg"}]))
    with pytest.raises(ValueError, match="made_test.json' must have a 'caption'"):
        load("albef", **given)
