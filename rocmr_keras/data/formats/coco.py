import os

from rocmr_keras.data.formats.records import Record
from rocmr_keras.data.formats.records import field
from rocmr_keras.data.formats.records import files_by_split
from rocmr_keras.data.formats.records import make_splits
from rocmr_keras.data.formats.records import read_json


def load_coco(captions, images, max_bad_fraction=0.01, check_files=True):
    """Loads COCO's own `captions_*.json`, images and captions joined by id.

    For the splits that retrieval papers report on, use `"karpathy"`.

    Args:
        captions: Path of a file whose name tells the split, such as `captions_val2017.json`,
            or several such paths, or a dict of split name to path or paths.
        images: Path of the folder of images, or a dict of split name to the folder of that
            split, such as `{"train": "train2017", "validation": "val2017"}`.
        max_bad_fraction: Float, the share of bad records that is skipped. Defaults to
            `0.01`.
        check_files: Boolean, whether every image's header is read. Defaults to `True`.

    Returns:
        A dict of `Split`.

    Raises:
        ValueError: If a file is not in this format, or too much in it is bad.

    Reference:
        - [Chen et al., 2015](https://arxiv.org/abs/1504.00325)
    """
    records = []
    for split, path in files_by_split(captions):
        folder = field(images, split, "`images`") if isinstance(images, dict) else images
        records += _records(read_json(path, dict), folder, split, repr(str(path)))
    return make_splits(records, max_bad_fraction, check_files)


def _records(content, folder, split, source):
    records = {}
    for entry in field(content, "images", source, list):
        image_id = _integer(field(entry, "id", source), source)
        name = field(entry, "file_name", source, str)
        if image_id in records:
            raise ValueError(
                f"Every image of {source} must have an id of its own. Received: id={image_id} for "
                f"{records[image_id].path!r} and {name!r}. Renumber one of them."
            )
        records[image_id] = Record(split, os.path.join(folder, name), [])
    for entry in field(content, "annotations", source, list):
        image_id = _integer(field(entry, "image_id", source), source)
        if image_id not in records:
            raise ValueError(
                f"Every annotation of {source} must belong to one of its images. Received: "
                f"image_id={image_id}. Check that the file is whole."
            )
        records[image_id].captions.append(field(entry, "caption", source))
    return list(records.values())


def _integer(value, source):
    if type(value) is not int:
        raise ValueError(
            f"Image ids in {source} must be integers, as COCO's are. Received: {value!r}. "
            "This is a look-alike: convert it to CSV with the columns image and caption."
        )
    return value
