import os

from rocmr_keras.data.formats.records import Record
from rocmr_keras.data.formats.records import field
from rocmr_keras.data.formats.records import make_splits
from rocmr_keras.data.formats.records import read_json
from rocmr_keras.data.formats.records import split_name


def load_karpathy(
    captions, images, restval=True, max_test_captions=5, max_bad_fraction=0.01, check_files=True
):
    """Loads Flickr8k, Flickr30K or MSCOCO in Karpathy's format and splits.

    Args:
        captions: Path of `dataset_flickr8k.json`, `dataset_flickr30k.json` or
            `dataset_coco.json`.
        images: Path of the folder of images; for COCO of the one that holds `train2014`
            and `val2014`.
        restval: Boolean, whether COCO's `restval` images are for training, as is usual, or
            left out. Defaults to `True`.
        max_test_captions: Integer, the captions per image to take in validation and test, the
            first ones, or `None` for all. Some COCO images have six or seven, and the
            usual figures are with five. Defaults to `5`.
        max_bad_fraction: Float, the share of bad records that is skipped. Defaults to
            `0.01`.
        check_files: Boolean, whether every image's header is read. Defaults to `True`.

    Returns:
        A dict of `Split`.

    Raises:
        ValueError: If the file is not in this format, or too much in it is bad.

    Reference:
        - [Karpathy and Fei-Fei, 2015](https://arxiv.org/abs/1412.2306)
    """
    source = repr(str(captions))
    records = []
    for entry in field(read_json(captions, dict), "images", source, list):
        split = field(entry, "split", source)
        if split != "restval":
            records.append(_record(entry, images, split_name(split, source), max_test_captions))
        elif restval:
            records.append(_record(entry, images, "train", max_test_captions))
    return make_splits(records, max_bad_fraction, check_files)


def _record(entry, images, split, max_test_captions):
    source = "'images'"
    folder = field({"filepath": "", **entry}, "filepath", source, str)
    path = os.path.join(images, folder, field(entry, "filename", source, str))
    sentences = field(entry, "sentences", source, list)
    captions = [field(sentence, "raw", "'sentences'", str) for sentence in sentences]
    return Record(split, path, captions if split == "train" else captions[:max_test_captions])
