import csv
import os
import re

from rocmr_keras.data.formats.records import Record
from rocmr_keras.data.formats.records import make_splits
from rocmr_keras.data.formats.records import split_name

# Ours, and those of open_clip.
_IMAGE_COLUMNS = ("image", "filepath")
_CAPTION_COLUMNS = ("caption", "title")
_DELIMITERS = (",", "\t", ";")
_IMAGE_NAME = re.compile(r"\.(jpe?g|png|gif|bmp|webp)\b", re.IGNORECASE)


def load_csv(
    captions,
    images=None,
    image_column=None,
    caption_column=None,
    split_column="split",
    delimiter=None,
    max_bad_fraction=0.01,
    check_files=True,
):
    """Loads a table with one caption a row.

    Args:
        captions: Path of a CSV or TSV file in UTF-8, its first row the names of the columns.
        images: Path of the folder that image paths start from. Defaults to `None`, the
            folder of the table.
        image_column: String, the column of image paths. Defaults to `None`: `"image"`, or
            open_clip's `"filepath"`.
        caption_column: String, the column of captions. Defaults to `None`: `"caption"`, or
            open_clip's `"title"`.
        split_column: String, the column of split names. Where there is none, all is
            for training. Defaults to `"split"`.
        delimiter: String of one character. Defaults to `None`: a tab for `.tsv`; else a comma, a
            tab or a semicolon, whichever the first row has most of.
        max_bad_fraction: Float, the share of bad records that is skipped. Defaults to
            `0.01`.
        check_files: Boolean, whether every image's header is read. Defaults to `True`.

    Returns:
        A dict of `Split`.

    Raises:
        ValueError: If a column is missing or there twice, a row cannot be read, or too much is bad.
    """
    if delimiter is not None and len(delimiter) != 1:
        raise ValueError(
            f"`delimiter` must be one character. Received: delimiter={delimiter!r}. Leave it out, "
            "and it is found."
        )
    images = os.path.dirname(captions) if images is None else images
    rows, found = _read_rows(captions, delimiter)
    image_column = _column(image_column or _IMAGE_COLUMNS, found, captions)
    caption_column = _column(caption_column or _CAPTION_COLUMNS, found, captions)
    records = []
    for line, row in rows:
        source = f"line {line} of {str(captions)!r}"
        split = split_name(row.get(split_column) or "train", source)
        path = os.path.join(images, row[image_column] or "")
        records.append(Record(split, path, [row[caption_column]]))
    return make_splits(records, max_bad_fraction, check_files)


def _read_rows(path, delimiter):
    """Returns pairs of a line and a row, a dict, and the names of the columns."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        line = 0
        try:
            delimiter = delimiter or _find_delimiter(path, file)
            # Not strict, it would take the rest of the file for one caption, in silence.
            reader = csv.DictReader(file, delimiter=delimiter, strict=True)
            found, line = tuple(reader.fieldnames or ()), reader.line_num
            rows = []
            for row in reader:
                _check_row(row, found, f"{str(path)!r}, after line {line}")
                line = reader.line_num
                rows.append((line, row))
            return rows, found
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(
                f"A table must be CSV in UTF-8. Received: {str(path)!r}, after line {line}: "
                f"{error}. Correct what follows that line: a quote that is not closed takes in "
                "the lines below it; one inside a quoted caption is written twice."
            ) from error


def _check_row(row, columns, where):
    """Refuses a row that a comma or a quote has made of another."""
    more = [value for value in row.get(None, ()) if value.strip()]
    if more:
        raise ValueError(
            f"A row must have a value for each of the {len(columns)} columns, and no more. "
            f"Received: {where}: {more[0]!r:.80} is beyond them. Put a caption that holds the "
            "delimiter into double quotes."
        )
    for value in row.values():
        if isinstance(value, str) and "\n" in value and _IMAGE_NAME.search(value):
            raise ValueError(
                "A value must not hold other rows. Received: the name of an image within "
                f"{value!r:.80}, of several lines, in {where}. Close the quote that begins there."
            )


def _find_delimiter(path, file):
    if os.fspath(path).lower().endswith(".tsv"):
        return "\t"
    head = file.readline()
    file.seek(0)
    return max(_DELIMITERS, key=head.count)


def _column(names, found, path):
    """Returns the first of some names that is a column, once."""
    names = (names,) if isinstance(names, str) else names
    for name in names:
        if found.count(name) > 1:
            raise ValueError(
                f"A column must have a name of its own. Received: {name!r} {found.count(name)} "
                f"times in {str(path)!r}. Rename one of them."
            )
        if name in found:
            return name
    raise ValueError(
        f"A table must have the column {' or '.join(map(repr, names))}. Received: {str(path)!r} "
        f"with the columns {found}. Name yours with `image_column` and `caption_column`, and "
        "what is between them with `delimiter`."
    )
