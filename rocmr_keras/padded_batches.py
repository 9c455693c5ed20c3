"""The one loop of fixed-size batches: a compiled step is traced once, not once for the rest."""

import keras
import numpy as np


def in_batches(step, count, batch_size, verbose=0):
    """Runs a step on batches of one size and joins what it returns.

    The last batch is filled up with its own examples, of which the surplus is cut off again.

    Args:
        step: Callable from an integer array `(batch_size,)`, positions of examples, to a dict of
            arrays `(batch_size, ...)`.
        count: Integer, the number of examples, at least 1.
        batch_size: Integer.
        verbose: `1` for a progress bar, `0` for none. Defaults to `0`.

    Returns:
        Dict of NumPy arrays `(count, ...)`.
    """
    starts = range(0, count, batch_size)
    bar = keras.utils.Progbar(len(starts), verbose=verbose, unit_name="batch")
    parts = []
    for start in starts:
        chosen = np.arange(start, min(start + batch_size, count))
        found = step(np.resize(chosen, batch_size))
        parts.append({name: np.asarray(value)[: len(chosen)] for name, value in found.items()})
        bar.add(1)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
