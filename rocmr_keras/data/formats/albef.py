import os

from rocmr_keras.data.formats.records import Record
from rocmr_keras.data.formats.records import field
from rocmr_keras.data.formats.records import files_by_split
from rocmr_keras.data.formats.records import make_splits
from rocmr_keras.data.formats.records import read_json


def load_albef(captions, images, max_bad_fraction=0.01, check_files=True):
    """Loads the JSON lists of ALBEF, which SGA and other attack papers use too.

    A test list has one record per image with its list of captions, a training
    list one per caption: both are read. All captions are kept, also where COCO has six.

    Args:
        captions: Path of a list whose name tells the split, such as `flickr30k_test.json`,
            or several such paths, or a dict of split name to path or paths.
        images: Path of the folder that the records' image paths start from.
        max_bad_fraction: Float, the share of bad records that is skipped. Defaults to
            `0.01`.
        check_files: Boolean, whether every image's header is read. Defaults to `True`.

    Returns:
        A dict of `Split`.

    Raises:
        ValueError: If a file is not in this format, or too much in it is bad.

    Reference:
        - [Li et al., 2021](https://arxiv.org/abs/2107.07651)
    """
    records = [
        _record(entry, images, split, repr(str(path)))
        for split, path in files_by_split(captions)
        for entry in read_json(path, list)
    ]
    return make_splits(records, max_bad_fraction, check_files)


def _record(entry, images, split, source):
    captions = field(entry, "caption", source)
    captions = captions if isinstance(captions, list) else [captions]
    return Record(split, os.path.join(images, field(entry, "image", source, str)), captions)
