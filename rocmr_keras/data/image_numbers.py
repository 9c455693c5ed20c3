"""Ids of any kind as numbers that every backend can compare."""

import collections.abc

import numpy as np

_INT32 = np.iinfo("int32")


def number(image_ids, caption_image_ids):
    """Returns ids as int32, equal where they were equal.

    Integers that fit are kept. All others, such as strings or integers of 64 bits, are
    numbered in the order in which they first appear: cut to 32 bits, two different ids could
    become one, and the captions of one image right answers of another.

    Args:
        image_ids: Sequence of hashable values that are no floats.
        caption_image_ids: The same.

    Returns:
        Tuple of two int32 arrays and the list of what the numbers stand for, `None` where
        ids were kept.

    Raises:
        ValueError: If ids are not flat, not hashable, or floats.
    """
    given = {"image_ids": image_ids, "caption_image_ids": caption_image_ids}
    lists = [_check(name, ids) for name, ids in given.items()]
    if all(_fits(ids) for ids in lists):
        return *(np.asarray(ids, "int32") for ids in lists), None
    numbers = {}
    for each in (*lists[0], *lists[1]):
        numbers.setdefault(each, len(numbers))
    return *(np.array([numbers[each] for each in ids], "int32") for ids in lists), list(numbers)


def _check(name, ids):
    if ids is None or isinstance(ids, (str, bytes)):
        raise ValueError(
            f"`{name}` must be a list of ids, one for each item. Received: {name}={ids!r:.80}. "
            "Number the images."
        )
    shape = np.shape(ids) if isinstance(ids, np.ndarray) else (len(ids),)
    flat = ids.tolist() if isinstance(ids, np.ndarray) else [_plain(each) for each in ids]
    bad = [each for each in flat if _is_bad(each)]
    if len(shape) != 1 or bad:
        example = f", for example {bad[0]!r}" if bad else ""
        raise ValueError(
            f"`{name}` must be a flat list of integers, strings or other hashable values, and no "
            f"floats. Received: {name} of shape {shape}{example}. Number the images."
        )
    return flat


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value


def _is_bad(value):
    # A float may differ from itself, or from what it was read from.
    return isinstance(value, float) or not isinstance(value, collections.abc.Hashable)


def _fits(ids):
    return all(type(each) is int and _INT32.min <= each <= _INT32.max for each in ids)
