"""Exact search in blocks: memory for a block of scores, never for all of them."""

import tensorflow as tf

# Numbers of one block of the gallery, and scores of one block.
_BLOCK_VALUES = 2**22
_BLOCK_SCORES = 2**24


def blocked_top_k(score, queries, k, count, dim):
    """Finds the `k` best rows, ties to the lowest row.

    Args:
        score: Callable of queries `(n, dim)` and of the ends `start`, `stop` of a block of
            rows, which gives float32 scores `(n, stop - start)`.
        queries: Float32 tensor `(n, dim)`.
        k: Int32 scalar tensor, 1 to `count`.
        count: Int, rows of the gallery.
        dim: Int.

    Returns:
        Float32 scores and int32 rows, both `(n, k)`, best first.
    """
    n = tf.shape(queries)[0]
    rows_at_once = max(1, min(count, _BLOCK_VALUES // dim))
    rows_at_once = tf.minimum(rows_at_once, tf.maximum(1, _BLOCK_SCORES // tf.maximum(n, 1)))

    def step(start, best, rows):
        stop = tf.minimum(start + rows_at_once, count)
        scores = score(queries, start, stop)
        found, places = tf.math.top_k(scores, tf.minimum(k, stop - start))
        # Rows found before stand first, so that of equal scores the lower row stays.
        best = tf.concat([best, found], 1)
        rows = tf.concat([rows, places + start], 1)
        best, kept = tf.math.top_k(best, tf.minimum(k, tf.shape(best)[1]))
        return stop, best, tf.gather(rows, kept, batch_dims=1)

    _, best, rows = tf.while_loop(
        lambda start, best, rows: start < count,
        step,
        (tf.constant(0), tf.zeros([n, 0]), tf.zeros([n, 0], "int32")),
        shape_invariants=(
            tf.TensorShape([]),
            tf.TensorShape([None, None]),
            tf.TensorShape([None, None]),
        ),
        parallel_iterations=1,
    )
    return best, rows
