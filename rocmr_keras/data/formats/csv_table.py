import csv
import os

from rocmr_keras.data.formats.records import Record
from rocmr_keras.data.formats.records import make_splits
from rocmr_keras.data.formats.records import split_name


def load_csv(
    captions,
    images=None,
    image_column="image",
    caption_column="caption",
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
        image_column: String, the column of image paths. Defaults to `"image"`.
        caption_column: String, the column of captions. Defaults to `"caption"`.
        split_column: String, the column of split names. Where there is none, all is
            for training. Defaults to `"split"`.
        delimiter: String of one character. Defaults to `None`: a tab for `.tsv`, else a comma.
        max_bad_fraction: Float, the share of bad records that is skipped. Defaults to
            `0.01`.
        check_files: Boolean, whether every image's header is read. Defaults to `True`.

    Returns:
        A dict of `Split`.

    Raises:
        ValueError: If a column is missing, a row cannot be read, or too much is bad.
    """
    is_tsv = os.fspath(captions).lower().endswith(".tsv")
    images = os.path.dirname(captions) if images is None else images
    delimiter = delimiter or ("\t" if is_tsv else ",")
    records = []
    for row in _read_rows(captions, delimiter, image_column, caption_column):
        split = split_name(row.get(split_column) or "train", repr(str(captions)))
        path = os.path.join(images, row[image_column] or "")
        records.append(Record(split, path, [row[caption_column]]))
    return make_splits(records, max_bad_fraction, check_files)


def _read_rows(path, delimiter, *columns):
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter)
        try:
            rows, found = list(reader), reader.fieldnames or ()
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(
                f"A table must be CSV in UTF-8. Received: {str(path)!r}, after line "
                f"{reader.line_num}: {error}. Correct what follows that line."
            ) from error
    if not set(columns) <= set(found):
        raise ValueError(
            f"A table must have the columns {columns}. Received: {str(path)!r} with the columns "
            f"{tuple(found)}. Name yours with `image_column` and `caption_column`."
        )
    return rows
