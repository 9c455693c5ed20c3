"""Exact search in blocks: memory for a block of scores, never for all of them."""

import tensorflow as tf

from rocmr_keras.gallery.fixed_order import score_error

# Scores of one block, and numbers of pairs scored at once.
_BLOCK_SCORES = 2**22
_PAIR_VALUES = 2**22
# Scores of which the best is looked at first.
_GROUP = 32
# Rows scored pair by pair beyond those asked for: of more near ties each row is looked at again.
_SPARE = 16


class TableSearch(tf.Module):
    """Compares a query with every row of a table.

    Args:
        table: `FloatTable` or `Int8Table`.
    """

    def __init__(self, table):
        super().__init__()
        self.table = table

    def search(self, queries, k):
        """Finds `k` rows for each query, see `search_table`."""
        return search_table(self.table, queries, k)


def search_table(table, queries, k):
    """Finds the `k` best rows by the scores of `table.pairs`, ties to the lowest row.

    Matrix products choose candidates; whatever they may have misjudged is scored again pair by
    pair. So the result depends on vectors and queries alone: not on processor, blocks, shards,
    or other queries of the request. (Products in reduced precision, TF32 on a GPU, err by more
    than is allowed for here.)

    Args:
        table: `FloatTable` or `Int8Table`.
        queries: Float32 tensor `(n, dim)`.
        k: Int32 scalar tensor, 1 to the number of rows.

    Returns:
        Float32 scores and int32 rows, both `(n, k)`, best first.
    """
    num_candidates = tf.minimum(k + k // 8 + _SPARE, table.count)
    at_once = tf.maximum(1, _PAIR_VALUES // (num_candidates * table.dim))

    def part(start, stop):
        return _search(table, queries[start:stop], k, num_candidates)

    return _in_blocks(part, tf.shape(queries)[0], at_once, _append, 0, k)


def _search(table, queries, k, num_candidates):
    near, rows = _nearest(table, queries, num_candidates)
    margin = 2 * score_error(table.dim) * table.largest_norm * tf.norm(queries, axis=1)
    # What lies below cannot be among the best, wherever rounding put it.
    limits = near[:, k - 1] - margin
    complete = (num_candidates == table.count) | tf.reduce_all(near[:, -1] < limits)
    return tf.cond(
        complete,
        lambda: _score_pairs(table, queries, rows, k),
        lambda: _among_near_ties(table, queries, limits, k),
    )


def _score_pairs(table, queries, rows, k):
    # Of equal scores the first stays: rows must rise for the lowest to win.
    rows = tf.sort(rows, axis=1)
    best, kept = tf.math.top_k(table.pairs(queries[:, None], rows), k)
    return best, tf.gather(rows, kept, batch_dims=1)


def _nearest(table, queries, k):
    """Finds the `k` best rows by the matrix product."""
    n = tf.shape(queries)[0]
    at_once = tf.minimum(_rows_at_once(table, 1), _BLOCK_SCORES // tf.maximum(n, 1))

    def part(start, stop):
        scores, places = _largest(table.block(queries, start, stop), k)
        return scores, places + start

    return _in_blocks(part, table.count, at_once, _merge(k), n, 0)


def _among_near_ties(table, queries, limits, k):
    """Scores pair by pair whatever the matrix product puts above the limits."""
    n = tf.shape(queries)[0]

    def part(start, stop):
        near = table.block(queries, start, stop)
        above = tf.where(near >= limits[:, None])
        who, place = tf.unstack(tf.cast(above, "int32"), axis=1)
        scores = table.pairs(tf.gather(queries, who), place + start)
        nothing = tf.fill(tf.shape(near), -float("inf"))
        scores = tf.tensor_scatter_nd_update(nothing, above, scores)
        scores, places = tf.math.top_k(scores, tf.minimum(k, stop - start))
        return scores, places + start

    return _in_blocks(part, table.count, _rows_at_once(table, n), _merge(k), n, 0)


def _rows_at_once(table, n):
    return tf.maximum(1, tf.minimum(table.count, table.block_values // (table.dim * n)))


def _largest(scores, k):
    """Returns the `k` largest scores of each row, or all, and their places."""
    width = tf.shape(scores)[1]
    few = width < 4 * _GROUP * k
    return tf.cond(
        few,
        lambda: tuple(tf.math.top_k(scores, tf.minimum(k, width))),
        lambda: _largest_of_groups(scores, k),
    )


def _largest_of_groups(scores, k):
    """The best lie in the groups whose own best is among the `k` best: a max is quicker."""
    n, width = tf.unstack(tf.shape(scores))
    columns = width // _GROUP
    whole = columns * _GROUP
    groups = tf.reshape(scores[:, :whole], [n, _GROUP, columns])
    _, best = tf.math.top_k(tf.reduce_max(groups, axis=1), k)
    places = tf.range(_GROUP)[None, :, None] * columns + best[:, None, :]
    rest = tf.broadcast_to(tf.range(whole, width), [n, width - whole])
    places = tf.concat([tf.reshape(places, [n, _GROUP * k]), rest], axis=1)
    found, kept = tf.math.top_k(tf.gather(scores, places, batch_dims=1), k)
    return found, tf.gather(places, kept, batch_dims=1)


def _merge(k):
    def merge(best, rows, found, places):
        # Rows found before stand first, so that of equal scores the lower row stays.
        best, rows = _append_columns(best, rows, found, places)
        best, kept = tf.math.top_k(best, tf.minimum(k, tf.shape(best)[1]))
        return best, tf.gather(rows, kept, batch_dims=1)

    return merge


def _append_columns(best, rows, found, places):
    return tf.concat([best, found], 1), tf.concat([rows, places], 1)


def _append(best, rows, found, places):
    return tf.concat([best, found], 0), tf.concat([rows, places], 0)


def _in_blocks(part, count, at_once, join, n, k):
    """Joins what `part` makes of each block of `count` things to scores and rows `(n, k)`."""

    def step(start, best, rows):
        stop = tf.minimum(start + at_once, count)
        return stop, *join(best, rows, *part(start, stop))

    free = tf.TensorShape([None, None])
    _, best, rows = tf.while_loop(
        lambda start, best, rows: start < count,
        step,
        (tf.constant(0), tf.zeros([n, k]), tf.zeros([n, k], "int32")),
        shape_invariants=(tf.TensorShape([]), free, free),
        parallel_iterations=1,
    )
    return best, rows
