"""Checksums that say which model was attacked, and on which data."""

import hashlib
import json

import numpy as np
from keras import ops


def weights_sha256(model):
    """Returns the checksum of all weights of a model.

    It is of their shapes, types and values, in the order of the model, not of the file: the
    same model has the same checksum on each backend, and however it was saved.

    Args:
        model: A Keras model.

    Returns:
        String of 64 hexadecimal digits.

    Example:

    ```python
    weights_sha256(model)[:12]  # "5f0c31d2a9be"
    ```
    """
    digest = hashlib.sha256()
    for weight in model.weights:
        value = np.asarray(ops.convert_to_numpy(weight))
        digest.update(f"{value.shape} {value.dtype.name};".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


def split_sha256(split):
    """Returns the checksum of the captions of a split and of which image each is of.

    Paths and pixels do not count: the same data may lie elsewhere.

    Args:
        split: A `rocmr_keras.data.Split`.

    Returns:
        String of 64 hexadecimal digits.
    """
    ids = [np.asarray(each).tolist() for each in (split.image_ids, split.caption_image_ids)]
    described = json.dumps([list(split.captions), *ids])
    return hashlib.sha256(described.encode()).hexdigest()
