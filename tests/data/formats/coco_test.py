import json

import pytest

from rocmr_keras.data import load


@pytest.fixture
def write(tmp_path, save):
    def write(images, annotations, name="captions_val2017.json"):
        path = tmp_path / name
        path.write_text(json.dumps({"images": images, "annotations": annotations}))
        return {"captions": path, "images": tmp_path / "images"}

    save("images/9.jpg")
    save("images/10.jpg")
    return write


IMAGES = [{"id": 9, "file_name": "9.jpg"}, {"id": 10, "file_name": "10.jpg"}]


def test_join_by_id(write):
    pairs = [(10, "ten"), (9, "nine"), (10, "again ten\n")]
    given = write(IMAGES, [{"image_id": i, "caption": c, "id": 0} for i, c in pairs])
    split = load("coco", **given)["validation"]
    assert [split.captions_of(i) for i in split.image_ids] == [["nine"], ["ten", "again ten"]]


def test_a_folder_for_each_split(write, tmp_path, save):
    save("train2017/1.jpg")
    train = write(
        [{"id": 1, "file_name": "1.jpg"}], [{"image_id": 1, "caption": "x"}], "train.json"
    )
    val = write(IMAGES, [{"image_id": i, "caption": "y"} for i in (9, 10)])
    folders = {"train": tmp_path / "train2017", "validation": tmp_path / "images"}
    splits = load("coco", captions=[train["captions"], val["captions"]], images=folders)
    assert {name: len(split) for name, split in splits.items()} == {"train": 1, "validation": 2}


def test_image_without_captions(write):
    given = write(IMAGES, [{"image_id": 9, "caption": "nine"}])
    with pytest.raises(ValueError, match="1 bad records of 2: .*10.jpg: no caption"):
        load("coco", **given)


@pytest.mark.parametrize(
    "images, annotations, message",
    [
        ([{"id": "a", "file_name": "9.jpg"}], [], "must be integers.*'a'.*look-alike"),
        ([{"id": 9, "url": "9.jpg"}], [], "must have a 'file_name'"),
        ([IMAGES[0], {"id": 9, "file_name": "x.jpg"}], [], "id of its own.*id=9.*'x.jpg'"),
        (IMAGES, [{"image_id": 5, "caption": "x"}], "one of its images.*image_id=5"),
        (IMAGES, [{"image_id": 9}], "must have a 'caption'"),
    ],
)
def test_look_alikes(write, images, annotations, message):
    with pytest.raises(ValueError, match=message):
        load("coco", **write(images, annotations))
