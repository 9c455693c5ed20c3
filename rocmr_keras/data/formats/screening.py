import collections
import concurrent.futures
import warnings

from rocmr_keras.data.bad_items import check_share
from rocmr_keras.data.bad_items import listed
from rocmr_keras.data.image_headers import read_header
from rocmr_keras.data.images import reason


def screen(records, max_bad_fraction=0.01, check_files=True):
    """Leaves out what cannot be used, says so, and stops when it is too much.

    A record is bad if its image is missing or cannot be decoded, or if it has
    no caption; a blank caption is bad too, and goes alone if the record has others.
    A picture that EXIF says is rotated is kept and named: its pixels are read as
    they are stored.

    Args:
        records: List of `rocmr_keras.data.formats.records.Record`.
        max_bad_fraction: Float in `[0, 1]`, the largest share of bad records that is
            skipped. Defaults to `0.01`.
        check_files: Boolean, whether to open every image file and read its header.
            Defaults to `True`.

    Returns:
        The list of good records, and a dict of split name to the list of what was left
        out of it, `"name: reason"`.

    Raises:
        ValueError: If the share of bad records is larger; the message lists them.
    """
    problems, rotated = _check_files(records) if check_files else ({}, [])
    good, skipped = [], collections.defaultdict(list)
    n_bad = 0
    for record in records:
        captions, faults = _check_captions(record)
        if record.path in problems:
            captions, faults = [], [problems[record.path]]
        if captions:
            good.append(record._replace(captions=captions))
        n_bad += bool(faults)
        skipped[record.split] += [f"{record.path}: {fault}" for fault in faults]
    _report(skipped, n_bad, len(records), max_bad_fraction)
    if rotated:
        warnings.warn(
            f"EXIF says that {len(rotated)} images are rotated. They are read as stored, "
            f"which is how TensorFlow decodes them: {listed(rotated)}. "
            "Rotate the files themselves to have them upright.",
            stacklevel=2,
        )
    return good, skipped


def _check_files(records):
    paths = list(dict.fromkeys(record.path for record in records))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = dict(zip(paths, pool.map(_check_file, paths)))
    problems = {path: fault for path, (fault, _) in found.items() if fault}
    return problems, [path for path, (_, is_rotated) in found.items() if is_rotated]


def _check_file(path):
    try:
        with open(path, "rb") as file:
            return None, read_header(file).orientation != 1
    except (OSError, ValueError) as error:
        return reason(error), False


def _check_captions(record):
    faults = ["no caption"] if not record.captions else []
    captions = []
    for caption in record.captions:
        if not isinstance(caption, str):
            faults.append(f"a caption that is no text, but {type(caption).__name__}")
        elif not caption.strip():
            faults.append("a blank caption")
        else:
            captions.append(caption.strip())
    return captions, faults


def _report(skipped, n_bad, total, max_bad_fraction):
    if not n_bad:
        return
    faults = listed([fault for faults in skipped.values() for fault in faults])
    received = f"{n_bad} bad records of {total}: {faults}"
    check_share(n_bad, total, max_bad_fraction, received)
    warnings.warn(f"Skipped what is bad in {n_bad} of {total} records: {faults}.", stacklevel=3)
