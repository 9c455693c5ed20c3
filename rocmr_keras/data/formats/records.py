import collections
import io
import json
import os

from rocmr_keras.data.formats.screening import screen
from rocmr_keras.data.split import Split

Record = collections.namedtuple("Record", ["split", "path", "captions"])
Record.__doc__ = """One image of one split with its captions, as a file format lists it.

Args:
    split: `"train"`, `"validation"` or `"test"`.
    path: String, path of the image file.
    captions: List of strings.
"""

_SPLITS = {
    "train": "train",
    "val": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
}


def make_splits(records, max_bad_fraction=0.01, check_files=True):
    """Turns what a format lists into splits, bad items left out by name.

    Records of the same file, however it is spelt, are one image with the captions of all.

    Args:
        records: Iterable of `Record`.
        max_bad_fraction: As for `rocmr_keras.data.formats.screening.screen`.
        check_files: As for `rocmr_keras.data.formats.screening.screen`.

    Returns:
        A dict of split name to `Split`; ids are unique over all splits.

    Raises:
        ValueError: If an image is in two splits, too many records are bad, or none
            is left.
    """
    good, skipped = screen(_merge(records), max_bad_fraction, check_files)
    if not good:
        raise ValueError(
            "A data set must hold at least one image with a caption. Received: none. "
            "Check the paths."
        )
    numbered = collections.defaultdict(list)
    for image_id, record in enumerate(good):
        numbered[record.split].append((image_id, record))
    return {
        name: _split(name, numbered[name], skipped[name])
        for name in dict.fromkeys(_SPLITS.values())
        if name in numbered
    }


def split_name(name, source):
    """Gives the usual names of splits the one that this library uses.

    Args:
        name: String, such as `"val"`.
        source: String, where it was read, for the message.

    Returns:
        `"train"`, `"validation"` or `"test"`.

    Raises:
        ValueError: If the name is unknown.
    """
    if str(name).strip().lower() not in _SPLITS:
        raise ValueError(
            f"A split must be one of {sorted(_SPLITS)}. Received: {name!r} in {source}. "
            "Rename it there."
        )
    return _SPLITS[str(name).strip().lower()]


def files_by_split(files):
    """Lists files with the split each is of, if need be by the file's name.

    Args:
        files: Dict of split name to a path or a list of paths; or just a path or a list
            of them, whose names must hold `train`, `val`, `dev` or `test`.

    Returns:
        A list of tuples, split name and path.

    Raises:
        ValueError: If a file's name does not tell the split.
    """
    if isinstance(files, dict):
        return [(split_name(n, "`captions`"), p) for n, ps in files.items() for p in _several(ps)]
    return [(_split_of_file(path), path) for path in _several(files)]


def _several(paths):
    return [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)


def _split_of_file(path):
    name = os.path.basename(path).lower()
    told = {split for word, split in _SPLITS.items() if word in name}
    if len(told) != 1:
        raise ValueError(
            "The name of a file must hold one of 'train', 'val', 'dev' and 'test'. "
            f"Received: {str(path)!r}. Pass a dict instead, such as {{'test': {name!r}}}."
        )
    return told.pop()


def read_json(path, expected):
    """Reads a JSON file whose outermost value must be of one type.

    Args:
        path: Path of the file.
        expected: Type, `dict` or `list`.

    Returns:
        The value.

    Raises:
        ValueError: If the file is no JSON, or of another type.
    """
    with open(path, encoding="utf-8") as file:
        try:
            value = json.load(file)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"A file of captions in this format must be JSON. Received: {str(path)!r}: "
                f"{error}. Check that it was copied whole."
            ) from error
    if not isinstance(value, expected):
        raise ValueError(
            f"A file of captions in this format must hold a {expected.__name__}. Received: "
            f"{str(path)!r}, which holds a {type(value).__name__}. "
            "Check that the name of the format fits the file."
        )
    return value


def read_lines(path):
    """Reads a text file in UTF-8, with or without a byte order mark.

    Args:
        path: Path of the file.

    Returns:
        A list of lines without their ends.

    Raises:
        ValueError: If the file is in another encoding.
    """
    with open(path, "rb") as file:
        content = file.read()
    try:
        # `str.splitlines` also cuts at separators that may be within a caption.
        text = io.StringIO(content.decode("utf-8-sig"), newline=None)
        return [line.rstrip("\n") for line in text]
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(
            f"A file of captions must be in UTF-8. Received: {str(path)!r}, line {line}: "
            f"{error.reason}. Save it in that encoding."
        ) from error


def field(entry, key, source, expected=object):
    """Looks up what every entry of a format must have.

    Args:
        entry: Dict.
        key: String.
        source: String, where the entry was read, for the message.
        expected: Type that the value must have. Defaults to any.

    Returns:
        The value.

    Raises:
        ValueError: If it is not there, or of another type.
    """
    if not isinstance(entry, dict) or key not in entry:
        has = sorted(entry) if isinstance(entry, dict) else type(entry).__name__
        raise ValueError(
            f"Every entry of {source} must have a {key!r}. Received: an entry with {has}. "
            "Check that the name of the format fits the file."
        )
    if not isinstance(entry[key], expected):
        raise ValueError(
            f"{key!r} of every entry of {source} must be a {expected.__name__}. Received: "
            f"{entry[key]!r:.80}. Correct the file there."
        )
    return entry[key]


def _merge(records):
    merged = {}
    for record in records:
        # One file has many spellings: `./0.png`, a link.
        file = os.path.realpath(record.path)
        known = merged.setdefault(file, record._replace(captions=[]))
        if known.split != record.split:
            spelt = "" if known.path == record.path else f" as {known.path!r}"
            raise ValueError(
                "An image must be in one split only, or the test is of what was trained on. "
                f"Received: {record.path!r} in {record.split!r} and{spelt} in {known.split!r}. "
                "Remove it from one."
            )
        known.captions.extend(record.captions)
    return list(merged.values())


def _split(name, numbered, skipped):
    texts = [(image_id, caption) for image_id, r in numbered for caption in r.captions]
    caption_ids, captions = zip(*texts)
    image_ids, records = zip(*numbered)
    paths = [record.path for record in records]
    return Split(
        paths, image_ids, captions, caption_ids, name, {"bad items": skipped} if skipped else None
    )
