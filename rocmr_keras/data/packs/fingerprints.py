"""Names of packs: which preprocessor made them, and of what."""

import hashlib
import json
import os
import stat

import numpy as np


def fingerprint(split, preprocessor, of_pixels=True):
    """Names what a pack is made of.

    Args:
        split: `rocmr_keras.data.Split`.
        preprocessor: `rocmr_keras.data.Preprocessor`.
        of_pixels: Boolean, whether an array of pixels counts by more than its shape and type.
            Defaults to `True`.

    Returns:
        String, `"<preprocessor>-<sources>"`, two hashes of 16 hexadecimal digits. The second
        is that of captions, ids and images; a file counts by its path, size and time of
        change.
    """
    digest = hashlib.blake2b(digest_size=8)
    _add(digest, json.dumps(split.captions).encode())
    for ids in (split.image_ids, split.caption_image_ids):
        _add(digest, _bytes_of(ids))
    if isinstance(split.images, np.ndarray):
        _add(digest, f"{split.images.shape} {split.images.dtype.str}".encode())
        if of_pixels:
            # Twice as fast as BLAKE2 where the processor has instructions for it, as most have.
            _add(digest, hashlib.sha256(_bytes_of(split.images)).digest())
    else:
        # Links along the way are followed once for each folder, not for each file.
        folders = {}
        for path in split.images:
            _add(digest, os.fsencode(_describe(path, folders)))
    return f"{preprocessor_hash(preprocessor)}-{digest.hexdigest()}"


def preprocessor_hash(preprocessor):
    """Returns the first part of the fingerprints of all packs of a preprocessor."""
    config = [type(preprocessor).__name__, preprocessor.get_config()]
    return hashlib.blake2b(json.dumps(config, sort_keys=True).encode(), digest_size=8).hexdigest()


def of_part(whole, indices):
    """Returns the fingerprint of chosen images of a pack, of that of the pack."""
    maker, _, sources = whole.partition("-")
    digest = hashlib.blake2b(sources.encode(), digest_size=8)
    _add(digest, _bytes_of(np.asarray(indices)))
    return f"{maker}-{digest.hexdigest()}"


def what_differs(found, expected):
    """Says in a few words what pack another one is than expected, `""` if it is none."""
    if found == expected:
        return ""
    same_maker = found.partition("-")[0] == expected.partition("-")[0]
    return f"the pack of {'other images or captions' if same_maker else 'another preprocessor'}"


def _describe(path, folders):
    folder, name = os.path.split(os.fspath(path))
    if folder not in folders:
        folders[folder] = os.path.realpath(folder)
    real = os.path.join(folders[folder], name)
    try:
        status = os.lstat(real)
        if stat.S_ISLNK(status.st_mode) or name in (".", ".."):
            real = os.path.realpath(path)
            status = os.stat(real)
    except OSError:
        # Decoding says what is wrong with it.
        return f"{os.path.realpath(path)} missing"
    return f"{real} {status.st_size} {status.st_mtime_ns}"


def _bytes_of(array):
    return np.ascontiguousarray(array).view("uint8").data


def _add(digest, data):
    # The length keeps two entries from running into one another.
    digest.update(len(data).to_bytes(8, "little"))
    digest.update(data)
