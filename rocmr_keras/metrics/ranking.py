"""Where the right items of each query come: ranks and average precision, block by block."""

import numpy as np

from rocmr_keras.metrics.embedding_blocks import Items
from rocmr_keras.metrics.rank_counting import Levels
from rocmr_keras.metrics.rank_counting import count_ahead
from rocmr_keras.metrics.relevance import Relevance


class Ranking:
    """The result of one retrieval direction, query by query.

    Args:
        queries: Integer array `(n,)`, the positions of the queries that count, ascending.
        ranks: Integer array `(n,)`, the rank of each one's best right item, from 1 on.
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

    Like `query_ranks`, exact and pessimistic in ties, but for any ground truth. For both
    directions between the same items, `rank_both` takes half the time.

    Args:
        queries: Float array `(queries, dim)`.
        gallery: Float array `(items, dim)`; more items than the ground truth knows are wrong
            for every query.
        relevance: A `Relevance`.
        matches: Float array `(items, dim)`, what the right items are represented by where they
            are attacked and the wrong ones are not, or `None` for `gallery`. Defaults to `None`.
        only: Integer array, the queries to rank, ascending, each with a right item; all that
            have one by default.
        block_size: Positive integer, see `query_ranks`. Defaults to `1024`.

    Returns:
        A `Ranking`.
    """
    chosen = relevance.counted if only is None else np.asarray(only)
    queries, gallery = Items(np.asarray(queries)[chosen], "queries"), Items(gallery, "gallery")
    matches = gallery if matches is None else Items(matches, "matches")
    levels = Levels(queries, gallery, relevance, chosen, matches)
    count_ahead(queries, gallery, [levels], block_size)
    return Ranking(chosen, levels.ahead[0] + 1, _average_precision(levels.ahead, levels.sizes))


def rank_both(queries, gallery, relevance, reverse, block_size=1024):
    """Ranks the gallery for the queries and the queries for the gallery, from one product.

    Returns what two calls of `rank_matches` would, in little more than the time of one.

    Args:
        queries: Float array `(queries, dim)`.
        gallery: Float array `(items, dim)`.
        relevance: A `Relevance`, of the queries.
        reverse: A `Relevance` of the items to the queries; `relevance.transpose()` unless
            the other direction has a ground truth of its own.
        block_size: Positive integer, see `query_ranks`. Defaults to `1024`.

    Returns:
        Tuple of two `Ranking`, of the queries and of the items.

    Raises:
        ValueError: If a ground truth has another number of queries than there are rows, the
            widths differ, or an embedding is not finite.

    Example:

    >>> relevance = Relevance.from_ids([0, 1], [0, 1])
    >>> images, texts = [[1.0, 0.0], [0.0, 1.0]], [[0.9, 0.1], [0.6, 0.4]]
    >>> [way.ranks for way in rank_both(images, texts, relevance, relevance.transpose())]
    [array([1, 1]), array([1, 2])]
    """
    queries, gallery = Items(queries, "queries"), Items(gallery, "gallery")
    _check_every_row_is_a_query(queries, relevance)
    _check_every_row_is_a_query(gallery, reverse)
    forward = Levels(queries, gallery, relevance)
    backward = Levels(gallery, queries, reverse, axis=1)
    count_ahead(queries, gallery, [forward, backward], block_size)
    return _ranking(forward, relevance.counted), _ranking(backward, reverse.counted)


def map_at_r(queries, gallery, query_ids, gallery_ids, block_size=1024):
    """Mean average precision at R, where R is how many items are right for the query.

    The sum of the precisions at those of the first R ranks that hold a right item, divided
    by R. It is 1 if and only if the R right items come first, so unlike recall@k it also
    depends on the second right item and the others. Ties are pessimistic, see `query_ranks`.

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
        - [Chun et al., 2022](https://arxiv.org/abs/2204.03359), ECCV Caption
    """
    relevance = Relevance.from_ids(query_ids, gallery_ids)
    if not len(relevance.counted):
        raise ValueError(
            "`map_at_r` needs a query with a right item. Received: "
            f"{len(relevance)} queries, none with an id of the gallery's. Check the ids."
        )
    ranking = rank_matches(queries, gallery, relevance, block_size=block_size)
    return float(ranking.average_precision.mean())


def _ranking(levels, counted):
    ahead, sizes = levels.ahead[:, counted], levels.sizes[counted]
    return Ranking(counted, ahead[0] + 1, _average_precision(ahead, sizes))


def _check_every_row_is_a_query(items, relevance):
    if len(items) != len(relevance):
        raise ValueError(
            f"A ground truth must have a query for each row of `{items.name}`. Received: "
            f"{len(relevance)} queries for {len(items)} rows. An empty list leaves a row out."
        )


def _average_precision(ahead, sizes):
    """The n-th right item comes at place n plus the wrong ones ahead of it."""
    found = np.arange(1, len(ahead) + 1)[:, None]
    places = found + ahead
    counts = (found <= sizes) & (places <= sizes)
    return np.sum(np.where(counts, found / places, 0.0), axis=0) / sizes
