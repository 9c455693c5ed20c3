import json

import pytest

from rocmr_keras.data import load


@pytest.fixture
def write(tmp_path, save):
    def write(images):
        for number, image in enumerate(images):
            image.setdefault("filename", f"{number}.jpg")
            save("/".join(filter(None, ["images", image.get("filepath"), image["filename"]])))
            image["sentences"] = [
                {"raw": f"Caption {n} of {number}.", "tokens": [], "sentid": n, "imgid": number}
                for n in range(image.pop("captions", 5))
            ]
        path = tmp_path / "dataset_made.json"
        path.write_text(json.dumps({"images": images, "dataset": "made"}))
        return {"captions": path, "images": tmp_path / "images"}

    return write


def test_splits(write):
    given = write([{"split": s} for s in ("train", "val", "test", "train")])
    splits = load("karpathy", **given)
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 2,
        "validation": 1,
        "test": 1,
    }
    test = splits["test"]
    assert test.captions == [f"Caption {n} of 2." for n in range(5)]
    assert test.images == [str(given["images"] / "2.jpg")]


def test_restval_is_for_training(write):
    given = write(
        [
            {"split": "train", "filepath": "train2014", "cocoid": 7},
            {"split": "restval", "filepath": "val2014", "cocoid": 8},
            {"split": "test", "filepath": "val2014", "cocoid": 9},
        ]
    )
    assert len(load("karpathy", **given)["train"]) == 2
    assert len(load("karpathy", restval=False, **given)["train"]) == 1
    assert load("karpathy", **given)["test"].images[0].endswith("val2014/2.jpg")


def test_seven_captions(write):
    given = write([{"split": "test", "captions": 7}, {"split": "train", "captions": 7}])
    splits = load("karpathy", **given)
    assert len(splits["test"].captions) == 5 and len(splits["train"].captions) == 7
    assert len(load("karpathy", max_test_captions=None, **given)["test"].captions) == 7


def test_image_without_captions(write):
    given = write([{"split": "test"}, {"split": "test", "captions": 0}])
    with pytest.warns(UserWarning, match="1.jpg: no caption"):
        splits = load("karpathy", max_bad_fraction=0.5, **given)
    assert len(splits["test"]) == 1


def test_duplicate_ids_do_not_mix_images(write):
    given = write([{"split": "train", "imgid": 3}, {"split": "train", "imgid": 3}])
    split = load("karpathy", **given)["train"]
    assert [split.captions_of(i)[0] for i in split.image_ids] == [
        "Caption 0 of 0.",
        "Caption 0 of 1.",
    ]


def test_other_formats_are_told(write, tmp_path):
    given = write([{"split": "holdout"}])
    with pytest.raises(ValueError, match="'holdout' in '.*dataset_made.json'"):
        load("karpathy", **given)
    given["captions"].write_text(json.dumps({"images": [{"id": 1, "file_name": "a.jpg"}]}))
    with pytest.raises(ValueError, match="must have a 'split'.*'file_name', 'id'"):
        load("karpathy", **given)
