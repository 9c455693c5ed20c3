import os

from rocmr_keras.data.formats.records import Record
from rocmr_keras.data.formats.records import files_by_split
from rocmr_keras.data.formats.records import make_splits
from rocmr_keras.data.formats.records import read_lines


def load_flickr_tokens(captions, images, splits=(), max_bad_fraction=0.01, check_files=True):
    """Loads the token files of Flickr8k and Flickr30K, `name.jpg#0<TAB>caption`.

    Args:
        captions: Path of the token file.
        images: Path of the folder of images.
        splits: Paths of lists of file names, one a line, whose own names tell the split, such
            as `Flickr_8k.trainImages.txt`, or a dict of split name to path or paths. The
            images of no list are left out. Defaults to `()`: all are for training.
        max_bad_fraction: Float, the share of bad records that is skipped. Defaults to
            `0.01`.
        check_files: Boolean, whether every image's header is read. Defaults to `True`.

    Returns:
        A dict of `Split`.

    Raises:
        ValueError: If a file is not in this format, or too much in it is bad.
    """
    captions_of = _read_tokens(captions)
    names = [
        (split, name.strip())
        for split, path in files_by_split(splits)
        for name in _read_lines(path)
    ]
    names = names or [("train", name) for name in captions_of]
    records = [
        Record(split, os.path.join(images, name), captions_of.get(name, []))
        for split, name in names
    ]
    return make_splits(records, max_bad_fraction, check_files)


def _read_tokens(path):
    captions_of = {}
    for number, line in enumerate(_read_lines(path), start=1):
        key, tab, caption = line.partition("\t")
        name, mark, index = key.rpartition("#")
        if not (tab and mark and index.isdigit()):
            raise ValueError(
                "Every line of a token file must read name.jpg#0<TAB>caption. Received: "
                f"{line[:80]!r}, line {number} of {str(path)!r}. Check the format's name."
            )
        captions_of.setdefault(name, []).append(caption)
    return captions_of


def _read_lines(path):
    return [line for line in read_lines(path) if line.strip()]
