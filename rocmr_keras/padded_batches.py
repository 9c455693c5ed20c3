"""Runs a step on batches of one size, or of few, so that it is compiled once, or seldom."""

import keras
import numpy as np


def in_batches(step, count, batch_size, verbose=0, halvings=0):
    """Runs a step on batches of one size and joins the results.

    The last batch is padded with its own examples; the results for these are dropped.

    Args:
        step: Callable from an integer array `(batch_size,)`, positions of examples, to a dict of
            arrays `(batch_size, ...)`.
        count: Integer, the number of examples, at least 1.
        batch_size: Integer.
        verbose: `1` for a progress bar, `0` for none. Defaults to `0`.
        halvings: Integer, how often the size of the last batch may be halved as long as all of
            its examples fit, for steps that take longer than to compile them once more; `None`
            for a last batch that is not filled up, for steps that are not compiled. Defaults to
            `0`.

    Returns:
        Dict of NumPy arrays `(count, ...)`.
    """
    starts = range(0, count, batch_size)
    bar = keras.utils.Progbar(len(starts), verbose=verbose, unit_name="batch")
    parts = []
    for start in starts:
        chosen = np.arange(start, min(start + batch_size, count))
        size = _size(len(chosen), batch_size, halvings)
        # Its own examples: zeros could be out of the range that a tower or an attack accepts.
        found = step(np.resize(chosen, size))
        parts.append({name: np.asarray(value)[: len(chosen)] for name, value in found.items()})
        bar.add(1)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _size(count, batch_size, halvings):
    """The smallest size that is allowed and holds so many examples."""
    if halvings is None:
        return count
    sizes = [-(-batch_size // 2**halving) for halving in range(halvings + 1)]
    return min(size for size in sizes if size >= count)
