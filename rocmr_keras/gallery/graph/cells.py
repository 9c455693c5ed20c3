"""Search of the cells nearest to a query, with stock ops."""

import numpy as np
import tensorflow as tf

from rocmr_keras.gallery.fixed_order import score_error
from rocmr_keras.gallery.graph.top_k import search_table
from rocmr_keras.gallery.graph.vector_tables import FloatTable


class CellSearch(tf.Module):
    """The vectors of a gallery, cell after cell.

    Args:
        vectors: Float32 array `(items, dim)`, those of a cell next to each other.
        order: Int32 array `(items,)`, the row in the gallery of each.
        centroids: Float32 array `(cells, dim)`.
        sizes: Int32 array `(cells,)`, vectors in each cell.
        num_probes: Integer, cells looked at.
    """

    def __init__(self, vectors, order, centroids, sizes, num_probes):
        super().__init__()
        self.table = FloatTable(vectors)
        self.centroids = FloatTable(centroids)
        self.order = tf.Variable(order, trainable=False)
        starts = np.cumsum(sizes, dtype="int32") - sizes
        self.starts = tf.Variable(starts, trainable=False)
        self.sizes = tf.Variable(sizes, trainable=False)
        self.num_probes = num_probes

    def search(self, queries, k):
        """Finds `k` rows for each query, see `ExactIndex.build`."""
        table, count = self.table.vectors.read_value(), tf.shape(queries)[0]
        # A map over nothing does not know the shape of its results.
        nothing = tf.zeros([tf.maximum(1 - count, 0), self.table.dim])
        queries = tf.concat([queries, nothing], axis=0)
        cells, probes = self._nearest_cells(queries, k)
        margin = 2 * score_error(self.table.dim) * self.table.largest_norm

        def search_one(item):
            query, cells, count = item
            cells = cells[:count]
            starts = tf.gather(self.starts, cells)
            places = tf.ragged.range(starts, starts + tf.gather(self.sizes, cells)).flat_values
            near = tf.linalg.matvec(tf.gather(table, places), query)
            limit = tf.math.top_k(near, k)[0][-1] - margin * tf.norm(query)
            places = tf.boolean_mask(places, near >= limit)
            rows = tf.gather(self.order, places)
            # Of equal scores the first stays: rows must rise for the lowest to win.
            by_row = tf.argsort(rows)
            best, kept = tf.math.top_k(self.table.pairs(query, tf.gather(places, by_row)), k)
            return best, tf.gather(rows, tf.gather(by_row, kept))

        specs = (tf.TensorSpec([None], "float32"), tf.TensorSpec([None], "int32"))
        best, rows = tf.map_fn(search_one, (queries, cells, probes), fn_output_signature=specs)
        return best[:count], rows[:count]

    def _nearest_cells(self, queries, k):
        """Returns int32 cells `(n, some)`, nearest first, and how many of them to look at."""
        _, cells = search_table(self.centroids, queries, tf.constant(self.num_probes))
        held = tf.reduce_sum(tf.gather(self.sizes, cells), axis=1)
        cells = tf.cond(
            tf.reduce_all(held >= k),
            lambda: cells,
            lambda: search_table(self.centroids, queries, tf.constant(self.centroids.count))[1],
        )
        filled = tf.cumsum(tf.gather(self.sizes, cells), axis=1)
        enough = 1 + tf.reduce_sum(tf.cast(filled < k, "int32"), axis=1)
        return cells, tf.maximum(enough, self.num_probes)
