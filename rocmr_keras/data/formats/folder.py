import pathlib

from rocmr_keras.data.formats.records import Record
from rocmr_keras.data.formats.records import make_splits
from rocmr_keras.data.formats.records import read_lines

_IMAGES = frozenset((".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp"))
_SPLITS = ("train", "validation", "test")


def load_folder(images, max_bad_fraction=0.01, check_files=True):
    """Loads a folder of `name.jpg` with its captions in `name.txt`, one a line.

    Args:
        images: Path of the folder. If it has folders called `train`, `validation` or `test`,
            these are the splits; else all is for training.
        max_bad_fraction: Float, the share of bad records that is skipped. Defaults to
            `0.01`.
        check_files: Boolean, whether every image's header is read. Defaults to `True`.

    Returns:
        A dict of `Split`.

    Raises:
        ValueError: If too much is bad: an image without text, a text without image.
    """
    root = pathlib.Path(images)
    folders = {name: root / name for name in _SPLITS if (root / name).is_dir()}
    records = []
    for split, folder in (folders or {"train": root}).items():
        records += _records(folder, split)
    return make_splits(records, max_bad_fraction, check_files)


def _records(folder, split):
    files = sorted(folder.iterdir())
    texts = {path.stem: path for path in files if path.suffix == ".txt"}
    images = [path for path in files if path.suffix.lower() in _IMAGES]
    captions = {stem: read_lines(path) for stem, path in texts.items()}
    records = [Record(split, str(path), captions.get(path.stem, [])) for path in images]
    # A text without image is a record of an image that is missing.
    lonely = sorted(texts.keys() - {path.stem for path in images})
    return records + [Record(split, str(folder / f"{stem}.*"), [stem]) for stem in lonely]
