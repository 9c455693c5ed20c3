"""Writes one row for each query and attack, as CSV or parquet, and the attacked pictures."""

import csv
import os
import pathlib
import re

from rocmr_keras.files import replacing

COLUMNS = (
    *("attack", "protocol", "direction", "query", "image_id", "caption"),
    *("rank_before", "rank_after", "stage", "budget"),
    *("adversarial_caption", "adversarial_image", "rank_written"),
)


def write_rows(path, rows, pictures=None):
    """Writes rows of queries to a file, and the pictures among them to a folder.

    Pictures are PNG, without loss. A file of that name is replaced once the new one is whole;
    pictures of another run stay in the folder.

    Args:
        path: Path that ends in `.csv`, UTF-8 with a header, or in `.parquet`, which needs
            pyarrow.
        rows: Iterable of dicts, as `rocmr_keras.evaluation.query_rows` or `attacked_rows` gives
            them. What a row does not have is empty in the file.
        pictures: Path of the folder for the `picture` of each row, whose name is then the row's
            `adversarial_image`, relative to the file; needs Pillow. Defaults to `None`:
            no pictures are written.

    Raises:
        ValueError: If the path has another ending.
        ImportError: If pyarrow or Pillow is missing.
    """
    path = pathlib.Path(os.path.abspath(os.fspath(path)))
    writers = {".csv": _write_csv, ".parquet": _write_parquet}
    if path.suffix not in writers:
        raise ValueError(
            f"`path` must end in one of {tuple(writers)}. Received: path={str(path)!r}. "
            "Rename the file."
        )
    # One after the other: the pictures of a large split do not fit in memory.
    rows = [_plain(row, path, pictures) for row in rows]
    with replacing(path) as temporary:
        writers[path.suffix](temporary, rows)


def _plain(row, path, pictures):
    plain = {name: row.get(name) for name in COLUMNS}
    if pictures is not None and row.get("picture") is not None:
        picture = pathlib.Path(os.path.abspath(os.fspath(pictures))) / _name(row)
        _write_png(picture, row["picture"])
        plain["adversarial_image"] = pathlib.Path(os.path.relpath(picture, path.parent)).as_posix()
    return plain


def _name(row):
    attack = re.sub(r"[^A-Za-z0-9]+", "-", row["attack"]).strip("-")
    return f"{attack}-{row['direction']}-{row['query']}.png"


def _write_png(path, pixels):
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "Attacked pictures are written with Pillow, which is not installed. Run "
            '`pip install "rocmr-keras[pictures]"`.'
        ) from error
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, "PNG")


def _write_csv(path, rows):
    with open(path, "w", newline="", encoding="utf-8", errors="replace") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def _write_parquet(path, rows):
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError(
            "Parquet is written with pyarrow, which is not installed. Run "
            '`pip install "rocmr-keras[vectors]"`, or write a .csv.'
        ) from error
    integers = ("query", "image_id", "rank_before", "rank_after", "rank_written")
    # Named, for a column in which nothing is known has no type of its own.
    schema = pyarrow.schema(
        [(name, pyarrow.int64() if name in integers else pyarrow.string()) for name in COLUMNS]
    )
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema), path)
