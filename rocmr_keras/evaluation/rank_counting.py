"""Counts, block by block, the items that score at least as high as the best match."""

import copy

import numpy as np

# Scores closer than this (relative to the norms; cosine units for unit embeddings) are a tie.
# Encoders compute in float32: a smaller difference is rounding, not a preference.
TIE_TOLERANCE = 1e-6


def count_ahead(queries, gallery, block_size, both):
    """Number of non-matching items ahead of each query's and each gallery item's best match."""
    best_of_query, best_of_item = _best_matches(queries, gallery, block_size)
    query_cuts = best_of_query - tolerance(queries, gallery)
    item_cuts = best_of_item - tolerance(gallery, queries)
    query_slack, item_slack = rounding_error(queries, gallery), rounding_error(gallery, queries)
    query_counts = np.zeros(len(queries), dtype=np.int64)
    item_counts = np.zeros(len(gallery), dtype=np.int64)
    for columns in slices(0, len(gallery), block_size):
        for rows in slices(0, len(queries), block_size):
            different = _different(queries.ids[rows], gallery.ids[columns])
            block = Block(queries, gallery, rows, columns, different)
            ahead = block.ahead(query_cuts[rows, None], query_slack[rows, None])
            query_counts[rows] += count(ahead, axis=1)
            if both:
                ahead = block.ahead(item_cuts[columns], item_slack[columns])
                item_counts[columns] += count(ahead, axis=0)
    return query_counts, item_counts


def _best_matches(queries, gallery, block_size, strip=64):
    """Float64 score of the best match of each query and of each gallery item (-inf: none)."""
    best_of_query = np.full(len(queries), -np.inf)
    best_of_item = np.full(len(gallery), -np.inf)
    for rows in slices(0, len(queries), strip):
        row_ids, left = queries.ids[rows], queries.read(rows).astype(np.float64)
        start = np.searchsorted(gallery.ids, row_ids[0], "left")
        stop = np.searchsorted(gallery.ids, row_ids[-1], "right")
        for columns in slices(start, stop, block_size):
            scores = left @ gallery.read(columns).astype(np.float64).T
            scores[row_ids[:, None] != gallery.ids[columns]] = -np.inf
            best_of_query[rows] = np.maximum(best_of_query[rows], scores.max(axis=1))
            best_of_item[columns] = np.maximum(best_of_item[columns], scores.max(axis=0))
    return best_of_query, best_of_item


class Block:
    """The scores of some queries and some gallery items.

    Args:
        queries: `Items`.
        gallery: `Items`.
        rows: Slice of the queries.
        columns: Slice of the gallery.
        different: Bool array, the pairs that do not match; `None` if all are such.
    """

    def __init__(self, queries, gallery, rows, columns, different):
        self.queries, self.gallery = queries.read(rows), gallery.read(columns)
        self.scores = self.queries @ self.gallery.T
        self.different = different
        self.exact_scores = None

    def take(self, rows):
        """Returns the block of some of its rows, an ascending int array of positions."""
        if len(rows) == len(self.queries):
            return self
        part = copy.copy(self)
        part.queries, part.scores, part.exact_scores = self.queries[rows], self.scores[rows], None
        part.different = None if self.different is None else self.different[rows]
        return part

    def ahead(self, cuts, slack):
        """Mask of the non-matching pairs whose score reaches `cuts` (broadcastable)."""
        ahead = self.scores >= (cuts - slack).astype(np.float32)
        if self.different is not None:
            ahead &= self.different
        below = self.scores <= (cuts + slack).astype(np.float32)
        doubtful = np.flatnonzero(ahead & below)
        # With that many pairs, gathering their rows takes as much memory as the block itself.
        if doubtful.size > self.scores.size // self.queries.shape[1]:
            decided = self._exact() >= cuts
            return decided if self.different is None else decided & self.different
        rows, columns = np.divmod(doubtful, self.scores.shape[1])
        exact = paired_scores(self.queries[rows], self.gallery[columns])
        ahead[rows, columns] = exact >= np.broadcast_to(cuts, ahead.shape)[rows, columns]
        return ahead

    def _exact(self):
        if self.exact_scores is None:
            self.exact_scores = self.queries.astype(np.float64) @ self.gallery.astype(np.float64).T
        return self.exact_scores


def _different(row_ids, column_ids):
    """Mask of the non-matching pairs of two sorted blocks of ids; None if all are."""
    if row_ids[-1] < column_ids[0] or column_ids[-1] < row_ids[0]:
        return None
    return row_ids[:, None] != column_ids


def paired_scores(queries, items):
    return np.einsum("pd,pd->p", queries.astype(np.float64), items.astype(np.float64))


def tolerance(items, others):
    return TIE_TOLERANCE * items.norms * others.norms.max(initial=0.0)


def rounding_error(items, others):
    """Bound of the error of a float32 dot product, in any order of summation.

    `dim` units of rounding times the norms, a few more for the thresholds, and the underflow.

    Reference:
        Higham, "Accuracy and Stability of Numerical Algorithms", 2nd edition, section 3.1.
    """
    unit = np.finfo(np.float32).eps / 2
    norms = items.norms * others.norms.max(initial=0.0)
    return 1.01 * (items.dim + 8) * (unit * norms + np.finfo(np.float32).tiny)


def count(mask, axis):
    # Summing bytes into 16 bits is four times as fast as `np.count_nonzero(mask, axis)`.
    return np.sum(mask.view(np.uint8), axis=axis, dtype=np.uint16)


def slices(start, stop, size):
    return [slice(begin, min(begin + size, stop)) for begin in range(start, stop, size)]
