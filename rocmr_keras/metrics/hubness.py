"""Hubness of a gallery: the share of hubs, the skewness of the k-occurrence, and a gate."""

import numpy as np

from rocmr_keras.metrics.rank_counting import TIE_TOLERANCE
from rocmr_keras.metrics.rank_counting import slices


def skewness(queries, gallery, k=10, block_size=1024):
    """Skewness of the number of queries that have an item among their first `k`.

    Zero if all items are found equally often. The larger it is, the more a few hubs make up
    the results.

    Args:
        queries: Float array `(queries, dim)`.
        gallery: Float array `(items, dim)`.
        k: Integer; the whole gallery, if that is smaller. Defaults to `10`.
        block_size: Integer, queries and items multiplied at once. Defaults to `1024`.

    Returns:
        Float; 0 where all items are found equally often.

    Reference:
        - [Radovanovic et al., 2010](https://jmlr.org/papers/v11/radovanovic10a.html)
    """
    items = nearest(queries, gallery, min(k, len(gallery)), block_size)[1]
    occurrences = np.bincount(items.ravel(), minlength=len(gallery)).astype(np.float64)
    centered = occurrences - occurrences.mean()
    deviation = np.sqrt(np.mean(centered**2))
    return float(np.mean(centered**3) / deviation**3) if deviation > 0 else 0.0


def hub_share(queries, gallery, hubs, block_size=1024):
    """Share of the queries whose first result is a hub; a tie goes to the hub.

    Args:
        queries: Float array `(queries, dim)`, L2-normalised.
        gallery: Float array `(items, dim)`, without the hubs.
        hubs: Float array `(hubs, dim)`.
        block_size: Integer. Defaults to `1024`.

    Returns:
        Float in `[0, 1]`.
    """
    best_item = nearest(queries, gallery, 1, block_size)[0][:, 0]
    best_hub = nearest(queries, hubs, 1, block_size)[0][:, 0]
    return float(np.mean(best_hub >= best_item - TIE_TOLERANCE))


def admit(items, gallery, sentinels, k=10, deviations=10.0, block_size=1024):
    """A gate for new items: refuses one that too many sentinel queries would find.

    Sentinels are queries that whoever makes an item cannot know, such as a sample of past ones.
    An item's k-occurrence is the number of sentinels that would have it among their first `k`
    if it alone was added. Refused is what exceeds the median of the items of the gallery by
    more than `deviations` robust standard deviations (1.4826 times the median absolute
    deviation; at least 1, for in a large gallery most items are found by none). A hub for few
    queries, or for none of the sentinels, passes.

    Args:
        items: Float array `(new items, dim)`, L2-normalised.
        gallery: Float array `(items, dim)` of items that are trusted, more than `k`.
        sentinels: Float array `(sentinels, dim)`, L2-normalised.
        k: Integer. Defaults to `10`.
        deviations: Float; fewer catch more hubs and refuse more honest items. Defaults to `10.0`.
        block_size: Integer. Defaults to `1024`.

    Returns:
        Dict with `refused`, boolean array `(new items,)`, `occurrences`, integer array
        `(new items,)`, the `limit` that these exceed, and `gallery_refused`, boolean array
        `(items,)`, which items of the gallery would be refused: the price of the gate.

    Raises:
        ValueError: If there is no sentinel or the gallery has not more than `k` items.

    Reference:
        - [Leys et al., 2013](https://doi.org/10.1016/j.jesp.2013.03.013), median and MAD
    """
    if not len(sentinels) or not 0 < k < len(gallery):
        raise ValueError(
            "A gate needs sentinel queries and a gallery of more than `k` items. Received: "
            f"{len(sentinels)} sentinels, {len(gallery)} items, k={k!r}. Lower `k`."
        )
    scores, found = nearest(sentinels, gallery, k, block_size)
    occurrences = np.bincount(found.ravel(), minlength=len(gallery))
    median = np.median(occurrences)
    deviation = max(1.4826 * np.median(np.abs(occurrences - median)), 1.0)
    limit = float(median + deviations * deviation)
    last = scores.min(axis=1)
    new = np.zeros(len(items), np.int64)
    for columns in slices(0, len(items), block_size):
        # A tie goes to the new item, as in `hub_share`.
        ahead = sentinels @ items[columns].T >= last[:, None] - TIE_TOLERANCE
        new[columns] = ahead.sum(axis=0)
    return {
        "refused": new > limit,
        "occurrences": new,
        "limit": limit,
        "gallery_refused": occurrences > limit,
    }


def nearest(queries, gallery, k, block_size=1024):
    """The `k` items of highest score of each query, in no order.

    Args:
        queries: Float array `(queries, dim)`.
        gallery: Float array `(items, dim)`, at least `k` items.
        k: Integer.
        block_size: Integer. Defaults to `1024`.

    Returns:
        Tuple of scores, float `(queries, k)`, and positions, integer `(queries, k)`.
    """
    scores = np.full((len(queries), k), -np.inf)
    items = np.zeros((len(queries), k), dtype=np.int64)
    for rows in slices(0, len(queries), block_size):
        for columns in slices(0, len(gallery), block_size):
            block = queries[rows] @ gallery[columns].T
            places = np.broadcast_to(np.arange(columns.start, columns.stop), block.shape)
            candidates = np.concatenate([scores[rows], block], axis=1)
            places = np.concatenate([items[rows], places], axis=1)
            best = np.argpartition(-candidates, k - 1, axis=1)[:, :k]
            scores[rows] = np.take_along_axis(candidates, best, axis=1)
            items[rows] = np.take_along_axis(places, best, axis=1)
    return scores, items
