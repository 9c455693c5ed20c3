"""Counts, block by block, the wrong items that score at least as high as the right ones."""

import copy

import numpy as np

from rocmr_keras.metrics.embedding_blocks import check_pair

# Scores closer than this (relative to the norms; cosine units for unit embeddings) are a tie.
# Encoders compute in float32: a smaller difference is rounding, not a preference.
TIE_TOLERANCE = 1e-6


class Levels:
    """The scores of each query's right items, and how many wrong items reach each of them.

    Args:
        queries: `Items`.
        gallery: `Items`.
        relevance: `Relevance`.
        chosen: Integer array, the positions in `relevance` of the queries, or `None` for all of
            them in order. Defaults to `None`.
        matches: `Items`, what the right items are represented by, or `None` for `gallery`.
            Defaults to `None`.
        axis: `0` where the queries are the rows of a block, `1` where they are its columns.
            Defaults to `0`.
        depth: Integer, right items of a query that are looked at, the best ones, or `None` for
            all. Defaults to `None`.

    Attributes:
        sizes: Integer array `(queries,)`, the right items of each query.
        ahead: Integer array `(levels, queries)`, the wrong items that score at least as high as
            the best right item, the second best, and so on. Below the best one only as far
            as the precision asks: a right item whose place is beyond the number of right
            items counts as none, however far beyond it is.
    """

    def __init__(self, queries, gallery, relevance, chosen=None, matches=None, axis=0, depth=None):
        matches = gallery if matches is None else matches
        check_pair(queries, gallery)
        check_pair(queries, matches)
        chosen = np.arange(len(queries)) if chosen is None else chosen
        self.axis = axis
        self.sizes = relevance.counts[chosen]
        self.not_wrong = relevance.not_wrong(chosen)
        levels = _levels(queries, matches, *relevance.take(chosen), self.sizes, depth)
        self.cuts = levels - TIE_TOLERANCE * queries.norms * gallery.norms.max(initial=0.0)
        self.slack = rounding_error(queries, gallery)
        self.ahead = np.zeros(levels.shape, dtype=np.int64)

    def add(self, block, rows, columns):
        """Counts the wrong items of a block, given with its rows and columns as slices."""
        mine, others = (rows, columns) if self.axis == 0 else (columns, rows)
        wrong = self._wrong(block.scores.shape, mine, others)
        level, left = self._last_open(mine), np.arange(mine.stop - mine.start)
        # From the worst right item that may count up to the best one: what does not reach
        # the lower score does not reach the higher one.
        while left.size:
            at = mine.start + left
            limits = self.cuts[level, at], self.slack[at]
            limits = (np.expand_dims(values, 1 - self.axis) for values in limits)
            part = block.take(left, self.axis)
            reached = part.ahead(*limits, _take(wrong, left, self.axis))
            counts = count(reached, axis=1 - self.axis)
            self.ahead[level, at] += counts
            higher = (counts > 0) & (level > 0)
            left, level = left[higher], level[higher] - 1

    def _last_open(self, mine):
        """The level of each query's worst right item that may still count; at least 0."""
        found = np.arange(1, len(self.ahead) + 1)[:, None]
        is_open = found + self.ahead[:, mine] <= self.sizes[mine]
        return np.maximum(is_open.sum(axis=0) - 1, 0)

    def _wrong(self, shape, mine, others):
        """Mask of the pairs of a block that are wrong; `None` if all are."""
        begin, end = np.searchsorted(self.not_wrong[0], (mine.start, mine.stop))
        queries, items = (positions[begin:end] for positions in self.not_wrong)
        here = (items >= others.start) & (items < others.stop)
        if not here.any():
            return None
        places = queries[here] - mine.start, items[here] - others.start
        wrong = np.ones(shape, dtype=bool)
        wrong[places if self.axis == 0 else places[::-1]] = False
        return wrong


def count_ahead(queries, gallery, directions, block_size):
    """Fills in the `Levels` of one direction or of both, from one product per block."""
    check_block_size(block_size)
    for columns in slices(0, len(gallery), block_size):
        for rows in slices(0, len(queries), block_size):
            block = Block(queries.read(rows), gallery.read(columns))
            for levels in directions:
                levels.add(block, rows, columns)


class Block:
    """The scores of some rows and some columns.

    Args:
        rows: Float32 array of embeddings.
        columns: Float32 array of embeddings.
    """

    def __init__(self, rows, columns):
        self.sides = [rows, columns]
        self.scores = rows @ columns.T
        self.exact_scores = None

    def take(self, places, axis):
        """Returns the block of some rows or columns, given by ascending position."""
        if len(places) == len(self.sides[axis]):
            return self
        part = copy.copy(self)
        part.sides = list(self.sides)
        part.sides[axis] = self.sides[axis][places]
        part.scores, part.exact_scores = np.take(self.scores, places, axis), None
        return part

    def ahead(self, cuts, slack, wrong):
        """Mask of the wrong pairs whose score reaches `cuts` (broadcastable)."""
        ahead = self.scores >= (cuts - slack).astype(np.float32)
        if wrong is not None:
            ahead &= wrong
        below = self.scores <= (cuts + slack).astype(np.float32)
        doubtful = np.flatnonzero(ahead & below)
        # With that many pairs, gathering their rows takes as much memory as the block itself.
        if doubtful.size > self.scores.size // self.sides[0].shape[1]:
            decided = self._exact() >= cuts
            return decided if wrong is None else decided & wrong
        rows, columns = np.divmod(doubtful, self.scores.shape[1])
        exact = paired_scores(self.sides[0][rows], self.sides[1][columns])
        ahead[rows, columns] = exact >= np.broadcast_to(cuts, ahead.shape)[rows, columns]
        return ahead

    def _exact(self):
        if self.exact_scores is None:
            rows, columns = (side.astype(np.float64) for side in self.sides)
            self.exact_scores = rows @ columns.T
        return self.exact_scores


def check_block_size(block_size):
    is_integer = isinstance(block_size, (int, np.integer)) and not isinstance(block_size, bool)
    if not is_integer or not 1 <= block_size <= 65535:
        raise ValueError(
            "`block_size` must be an integer from 1 to 65535. Received: "
            f"block_size={block_size!r}. The default, 1024, suits most machines."
        )


def _levels(queries, matches, rows, items, sizes, depth, size=1024):
    """Scores of each query's right items, best first, `(depth, queries)`; inf where none."""
    scores = np.empty(len(rows))
    for part in slices(0, len(rows), size):
        scores[part] = paired_scores(queries.read(rows[part]), matches.read(items[part]))
    places = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    if depth is None:
        depth = sizes.max() if len(sizes) else 1
    kept = places < depth
    levels = np.full((depth, len(queries)), np.inf)
    levels[places[kept], rows[kept]] = scores[np.lexsort((-scores, rows))][kept]
    return levels


def _take(mask, places, axis):
    if mask is None or len(places) == mask.shape[axis]:
        return mask
    return np.take(mask, places, axis)


def paired_scores(queries, items):
    return np.einsum("pd,pd->p", queries.astype(np.float64), items.astype(np.float64))


def rounding_error(items, others):
    """Bound of the error of a float32 dot product, in any order of summation.

    `dim` units of rounding times the norms, a few more for the thresholds, and the underflow.

    Reference:
        - [Higham, 2002](https://doi.org/10.1137/1.9780898718027), section 3.1
    """
    unit = np.finfo(np.float32).eps / 2
    norms = items.norms * others.norms.max(initial=0.0)
    return 1.01 * (items.dim + 8) * (unit * norms + np.finfo(np.float32).tiny)


def count(mask, axis):
    # Summing bytes into 16 bits is four times as fast as `np.count_nonzero(mask, axis)`.
    return np.sum(mask.view(np.uint8), axis=axis, dtype=np.uint16)


def slices(start, stop, size):
    return [slice(begin, min(begin + size, stop)) for begin in range(start, stop, size)]
