import numpy as np


def check_entries(entries, name, keys, optional=()):
    if not isinstance(entries, (list, tuple)) or not entries:
        raise ValueError(
            f"`{name}` must be a non-empty list of dicts. Received: {type(entries).__name__} "
            f"{entries!r:.60}. Pass one dict with the keys {list(keys)} for each."
        )
    for position, entry in enumerate(entries):
        given = set(entry) if isinstance(entry, dict) else set()
        missing, unknown = set(keys) - given, given - set(keys) - set(optional)
        if missing or unknown:
            raise ValueError(
                f"`{name}[{position}]` must be a dict with the keys {list(keys)}"
                + (f" and optionally {list(optional)}" if optional else "")
                + f". Received: {type(entry).__name__} with missing keys {sorted(missing)} and "
                f"unknown keys {sorted(unknown)}. Add or remove these."
            )


def check_item(item, name):
    if not isinstance(item, str):
        check_image(item, name)


def check_image(image, name):
    pixels = np.asarray(image)
    shaped = pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size
    # `not (... <= 1)` also catches NaN.
    inside = shaped and pixels.dtype.kind == "f" and 0 <= pixels.min() and pixels.max() <= 1
    if not shaped or not (inside or pixels.dtype == np.uint8):
        extent = f", values {pixels.min()} to {pixels.max()}" if shaped else ""
        raise ValueError(
            f"`{name}` must be an array of shape `(height, width, 3)`, uint8 or float in [0, 1]. "
            f"Received: shape {pixels.shape}, type {pixels.dtype}{extent}. Divide float images "
            "of 0 to 255 by 255."
        )


def check_rank(rank, name):
    if not isinstance(rank, (int, np.integer)) or rank < 1:
        raise ValueError(
            f"`{name}` must be a positive integer. Received: {rank!r}. Ranks count from 1, as "
            "`query_ranks` gives them."
        )
