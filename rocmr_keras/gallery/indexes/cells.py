"""Search of the cells nearest to a query, with stock ops."""

import numpy as np
import tensorflow as tf


class CellSearch(tf.Module):
    """The vectors of a gallery, cell after cell.

    Args:
        vectors: Float32 array `(items, dim)`, those of a cell next to each other.
        order: Int32 array `(items,)`, the row in the gallery of each.
        centroids: Float32 array `(cells, dim)`.
        sizes: Int32 array `(cells,)`, vectors in each cell.
        num_probes: Int, cells looked at.
    """

    def __init__(self, vectors, order, centroids, sizes, num_probes):
        super().__init__()
        self.vectors = tf.Variable(vectors, trainable=False)
        self.order = tf.Variable(order, trainable=False)
        self.centroids = tf.Variable(centroids, trainable=False)
        starts = np.cumsum(sizes, dtype="int32") - sizes
        self.starts = tf.Variable(starts, trainable=False)
        self.sizes = tf.Variable(sizes, trainable=False)
        self.num_probes = num_probes

    def search(self, queries, k):
        """Finds `k` rows for each query, see `ExactIndex.build`."""
        table, count = self.vectors.read_value(), tf.shape(queries)[0]
        # A map over nothing does not know the shape of its results.
        nothing = tf.zeros([tf.maximum(1 - count, 0), table.shape[1]])
        queries = tf.concat([queries, nothing], axis=0)
        near = tf.matmul(queries, self.centroids, transpose_b=True)
        _, near = tf.math.top_k(near, tf.shape(near)[1])
        sizes = tf.gather(self.sizes, near)
        enough = 1 + tf.reduce_sum(tf.cast(tf.cumsum(sizes, axis=1) < k, "int32"), axis=1)
        probes = tf.maximum(enough, self.num_probes)

        def search_one(item):
            query, cells, count = item
            cells = cells[:count]
            starts = tf.gather(self.starts, cells)
            ranges = tf.ragged.range(starts, starts + tf.gather(self.sizes, cells))
            places = ranges.flat_values
            scores = tf.linalg.matvec(tf.gather(table, places), query)
            best, kept = tf.math.top_k(scores, k)
            rows = tf.gather(self.order, tf.gather(places, kept))
            # Cells come in any order: ties among those found go to the lowest row.
            by_row = tf.argsort(rows, stable=True)
            by_score = tf.argsort(-tf.gather(best, by_row), stable=True)
            ranking = tf.gather(by_row, by_score)
            return tf.gather(best, ranking), tf.gather(rows, ranking)

        specs = (tf.TensorSpec([None], "float32"), tf.TensorSpec([None], "int32"))
        best, rows = tf.map_fn(search_one, (queries, near, probes), fn_output_signature=specs)
        return best[:count], rows[:count]
