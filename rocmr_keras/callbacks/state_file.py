"""Training states in `.npz` files: whole, or not taken."""

import os
import re

import numpy as np

from rocmr_keras.files import replacing

_KNOWN = re.compile(r"(variable|metric)_\d+|random_\w+|epoch|step|steps|history|counts")


def write_state(path, state):
    """Writes arrays through a temporary file, and keeps the state before as `<path>.previous`.

    Args:
        path: String.
        state: Dict of arrays.
    """
    counts = np.array([_count(state, kind) for kind in ("variable", "metric")])
    with replacing(path, previous=previous(path)) as temporary:
        # Given a path, NumPy would add `.npz` to it.
        with open(temporary, "wb") as file:
            np.savez(file, counts=counts, **state)


def previous(path):
    """Returns the path of the state before."""
    return f"{path}.previous"


def read_newest(path):
    """Reads the newest state that is whole.

    Args:
        path: String.

    Returns:
        Tuple of its path, a dict of its arrays and a list of strings, which newer files are
        damaged and how. Path and dict are `None` where there is no whole state.
    """
    damaged = []
    for candidate in (path, previous(path)):
        if not os.path.exists(candidate):
            continue
        try:
            return candidate, _read(candidate), damaged
        except Exception as error:
            # Damage may lead NumPy and zipfile to any of a dozen exceptions.
            damaged.append(f"{candidate}: {error or type(error).__name__}")
    return None, None, damaged


def _read(path):
    # Reading checks the CRC-32 of every array; names are not under it.
    with open(path, "rb") as opened, np.load(opened) as file:
        state = {name: file[name] for name in file.files}
    unknown = [name for name in state if not _KNOWN.fullmatch(name)]
    counts = {kind: _count(state, kind) for kind in ("variable", "metric")}
    numbered = [f"{kind}_{index}" for kind, count in counts.items() for index in range(count)]
    lacks = not {"epoch", *numbered} <= set(state)
    # States of an older version have no counts.
    said = state.pop("counts", np.array([*counts.values()])).tolist()
    if unknown or lacks or said != [*counts.values()]:
        raise ValueError("an array is missing, or its name is damaged")
    return state


def _count(state, kind):
    return sum(name.startswith(f"{kind}_") for name in state)


def check_finite(variables, values=None):
    """Refuses to save what is not finite.

    Args:
        variables: Keras variables.
        values: Their values as arrays. Defaults to `None`: they are looked up.

    Raises:
        FloatingPointError: If a value is NaN or infinite; the message names the variable.
    """
    for index, variable in enumerate(variables):
        value = np.asarray(variable if values is None else values[index])
        if value.dtype.kind not in "iub" and not np.isfinite(value.astype("float32")).all():
            raise FloatingPointError(
                "What is saved must be finite. Received: a value that is not, in "
                f"{variable.path}. What was saved before stays as it is: go on from there with a "
                "lower learning rate."
            )
