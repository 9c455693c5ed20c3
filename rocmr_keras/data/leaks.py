"""The same picture in two splits, under whatever name."""

import concurrent.futures
import hashlib
import os

import keras
import numpy as np

from rocmr_keras.data.bad_items import listed

_CHUNK = 256


def check_leaks(splits, verbose=1):
    """Refuses splits of which two hold the same image, by its contents.

    `rocmr_keras.data.load` refuses one file in two splits, also by way of a link. Here copies
    are found too: files of the same bytes, and arrays of the same pixels. A picture that was
    saved again, or is of another size, is another one. Of files only those are read that have
    the size of a file of another split.

    Args:
        splits: Dict from a name to a `rocmr_keras.data.Split`.
        verbose: `1` for a progress bar over what is read, `0` for none. Defaults to `1`.

    Raises:
        ValueError: If an image is in two splits; the message lists them.

    Example:

    ```python
    splits = rocmr_keras.data.load("folder", images="photos")
    rocmr_keras.data.check_leaks(splits)
    ```
    """
    items = [(name, split.images, i) for name, split in splits.items() for i in range(len(split))]
    items = _of_several_splits(items, [_size_of(images, i) for _, images, i in items])
    starts = range(0, len(items), _CHUNK)
    bar = keras.utils.Progbar(
        len(starts), verbose=verbose if len(starts) > 1 else 0, unit_name=f"{_CHUNK} images read"
    )
    hashes = []
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for start in starts:
            hashes += pool.map(_hash_of, items[start : start + _CHUNK])
            bar.add(1)
    places = {}
    for item, digest in zip(items, hashes):
        places.setdefault(digest, {}).setdefault(item[0], item)
    leaks = [" and ".join(map(_told, held.values())) for held in places.values() if len(held) > 1]
    if leaks:
        raise ValueError(
            "An image must be in one split only, or the test is of what was trained on. "
            f"Received: {len(leaks)} images of equal contents: {listed(leaks)}. Remove each from "
            "all splits but one."
        )


def _of_several_splits(items, sizes):
    """Keeps the items whose size is found in more than one split."""
    names = {}
    for (name, *_), size in zip(items, sizes):
        names.setdefault(size, set()).add(name)
    return [item for item, size in zip(items, sizes) if len(names[size]) > 1]


def _size_of(images, place):
    if isinstance(images, np.ndarray):
        return images.shape[1:], images.dtype.str
    return os.path.getsize(images[place])


def _hash_of(item):
    _, images, place = item
    if isinstance(images, np.ndarray):
        return hashlib.sha256(np.ascontiguousarray(images[place])).digest()
    with open(images[place], "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _told(item):
    name, images, place = item
    image = f"image {place}" if isinstance(images, np.ndarray) else repr(images[place])
    return f"{image} in {name!r}"
