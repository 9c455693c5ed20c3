"""The confidence bound of a share that was counted in a sample."""

import math

import numpy as np

# Halvings of an interval of length 1: far below the rounding of the tail.
_HALVINGS = 60


def lower_bound(successes, trials, alpha):
    """One-sided Clopper-Pearson bound: the true share is below it with probability `alpha`.

    Exact for every number of trials: the share at which as many successes or more would come
    with probability `alpha`.

    Args:
        successes: Integer, from 0 to `trials`.
        trials: Integer, at least 1.
        alpha: Float in (0, 1).

    Returns:
        Float in [0, 1).

    Example:

    >>> round(lower_bound(100, 100, 0.05), 6)
    0.970487
    """
    if successes == 0:
        return 0.0
    counts = np.arange(successes, trials + 1)
    ways = np.array([_log_ways(trials, count) for count in counts])
    low, high = 0.0, successes / trials
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        chances = ways + counts * math.log(middle) + (trials - counts) * math.log1p(-middle)
        low, high = (middle, high) if np.exp(chances).sum() < alpha else (low, middle)
    return low


def _log_ways(trials, count):
    return math.lgamma(trials + 1) - math.lgamma(count + 1) - math.lgamma(trials - count + 1)
