"""Where the right items of each query come: ranks and average precision, block by block."""

import numpy as np

from rocmr_keras.evaluation.items import Items
from rocmr_keras.evaluation.rank_counting import Block
from rocmr_keras.evaluation.rank_counting import count
from rocmr_keras.evaluation.rank_counting import paired_scores
from rocmr_keras.evaluation.rank_counting import rounding_error
from rocmr_keras.evaluation.rank_counting import slices
from rocmr_keras.evaluation.rank_counting import tolerance
from rocmr_keras.evaluation.relevance import Relevance


class Ranking:
    """The result of one retrieval direction, query by query.

    Args:
        queries: Int array `(n,)`, the positions of the queries that count, ascending.
        ranks: Int array `(n,)`, the rank of each one's best right item, from 1 on.
        average_precision: Float array `(n,)`, see `map_at_r`.
    """

    def __init__(self, queries, ranks, average_precision):
        self.queries = queries
        self.ranks = ranks
        self.average_precision = average_precision

    def take(self, queries):
        """Returns the `Ranking` of some of the queries, given by position."""
        places = np.searchsorted(self.queries, queries)
        return Ranking(queries, self.ranks[places], self.average_precision[places])


def rank_matches(queries, gallery, relevance, matches=None, only=None, block_size=1024):
    """Ranks the right items of every query among the wrong ones.

    The same ranks as `query_ranks`, whose rule for ties and whose exactness it shares, for any
    ground truth. Its time grows with the largest number of right items of a query.

    Args:
        queries: Float array `(queries, dim)`.
        gallery: Float array `(items, dim)`; more items than the ground truth knows are wrong
            for every query.
        relevance: A `Relevance`.
        matches: Float array `(items, dim)`, what the right items are represented by where they
            are attacked and the wrong ones are not, or `None` for `gallery`. Defaults to `None`.
        only: Int array, the queries to rank, ascending, each with a right item; all that
            have one by default.
        block_size: Positive integer, see `query_ranks`. Defaults to `1024`.

    Returns:
        A `Ranking`.
    """
    chosen = relevance.counted if only is None else np.asarray(only)
    queries = Items(np.asarray(queries)[chosen], np.arange(len(chosen)), "queries", "ids")
    gallery = Items(gallery, np.arange(len(gallery)), "gallery", "ids")
    if matches is None:
        matches = gallery
    else:
        matches = Items(matches, np.arange(len(matches)), "matches", "ids")
    rows, items = relevance.take(chosen)
    scores = _scores_of_pairs(queries, matches, rows, items, block_size)
    # Each query's right items, best first: levels that the wrong ones reach or not.
    order = np.lexsort((-scores, rows))
    sizes = relevance.counts[chosen]
    places = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    levels = np.full((max(sizes, default=1), len(chosen)), np.inf)
    levels[places, rows] = scores[order]
    ignored = (rows, items) if not relevance.exclude_self else _with_self(rows, items, chosen)
    ahead = _count_ahead(queries, gallery, levels, sizes, ignored, block_size)
    return Ranking(chosen, ahead[0] + 1, _average_precision(ahead, sizes))


def map_at_r(queries, gallery, query_ids, gallery_ids, block_size=1024):
    """Mean average precision at R, where R is how many items are right for the query.

    Precision at each of the first R places that holds a right item, summed and divided by R:
    1 if and only if the R right items come first. Unlike recall it notices whether the second
    right item is found too. Ties are pessimistic, see `query_ranks`.

    Args:
        queries: Float array `(num_queries, dim)`, normally L2-normalised.
        gallery: Float array `(num_items, dim)`.
        query_ids: Integer array `(num_queries,)`.
        gallery_ids: Integer array `(num_items,)`; an item is right for queries of equal id.
        block_size: Positive integer, see `query_ranks`. Defaults to `1024`.

    Returns:
        Float in `[0, 1]`, the mean over the queries that have a right item.

    Raises:
        ValueError: If no query has a right item, or an embedding is not finite.

    Example:

    >>> map_at_r([[1.0, 0.0]], [[1.0, 0.0], [0.9, 0.1], [0.8, 0.2]], [7], [7, 3, 7])
    0.5

    Reference:
        Chun et al., "ECCV Caption: Correcting False Negatives by Collecting Machine-and-Human-
        verified Image-Caption Associations for MS-COCO", 2022 (arXiv:2204.03359).
    """
    relevance = Relevance.from_ids(query_ids, gallery_ids)
    if not len(relevance.counted):
        raise ValueError(
            "`map_at_r` needs a query with a right item. Received: "
            f"{len(relevance)} queries, none with an id of the gallery's. Check the ids."
        )
    ranking = rank_matches(queries, gallery, relevance, block_size=block_size)
    return float(ranking.average_precision.mean())


def _scores_of_pairs(queries, matches, rows, items, size):
    scores = np.empty(len(rows))
    for part in slices(0, len(rows), size):
        scores[part] = paired_scores(queries.read(rows[part]), matches.read(items[part]))
    return scores


def _with_self(rows, items, chosen):
    """The pairs that count neither way: the right items, and each query itself."""
    rows = np.concatenate([rows, np.arange(len(chosen))])
    items = np.concatenate([items, chosen])
    order = np.argsort(rows, kind="stable")
    return rows[order], items[order]


def _count_ahead(queries, gallery, levels, sizes, ignored, block_size):
    """Int array like `levels`: the wrong items that score at least as high.

    Below the best level only as far as the precision asks: a right item whose place is beyond
    the number of right items counts as none, however far beyond it is.
    """
    cuts = levels - tolerance(queries, gallery)
    slack = rounding_error(queries, gallery)
    ahead = np.zeros(levels.shape, dtype=np.int64)
    for rows in slices(0, len(queries), block_size):
        begin, end = np.searchsorted(ignored[0], (rows.start, rows.stop))
        places, items = ignored[0][begin:end] - rows.start, ignored[1][begin:end]
        for columns in slices(0, len(gallery), block_size):
            wrong = _wrong(places, items, rows, columns)
            block = Block(queries, gallery, rows, columns, wrong)
            for level in range(len(levels)):
                open_rows = np.arange(rows.stop - rows.start)
                if level:
                    open_rows = np.flatnonzero(level + 1 + ahead[level, rows] <= sizes[rows])
                if open_rows.size:
                    at = rows.start + open_rows
                    reached = block.take(open_rows).ahead(cuts[level, at, None], slack[at, None])
                    ahead[level, at] += count(reached, axis=1)
    return ahead


def _wrong(places, items, rows, columns):
    """Mask of the pairs of a block that are not ignored; None if all are such."""
    here = (items >= columns.start) & (items < columns.stop)
    if not here.any():
        return None
    wrong = np.ones((rows.stop - rows.start, columns.stop - columns.start), dtype=bool)
    wrong[places[here], items[here] - columns.start] = False
    return wrong


def _average_precision(ahead, sizes):
    """The n-th right item comes at place n plus the wrong ones ahead of it."""
    found = np.arange(1, len(ahead) + 1)[:, None]
    places = found + ahead
    counts = (found <= sizes) & (places <= sizes)
    return np.sum(np.where(counts, found / places, 0.0), axis=0) / sizes
