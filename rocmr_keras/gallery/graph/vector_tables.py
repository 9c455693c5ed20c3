"""Rows that are scored in blocks, fast, and pair by pair, the same on every processor."""

import tensorflow as tf

from rocmr_keras.gallery.fixed_order import largest_norm
from rocmr_keras.gallery.fixed_order import ordered_sum


class FloatTable(tf.Module):
    """Vectors in float32.

    Args:
        vectors: Float32 array `(items, dim)`.

    Attributes:
        block_values: Integer, numbers of the rows of one block.
    """

    # Few blocks: each costs some calls, and of rows it makes no copy.
    block_values = 2**24

    def __init__(self, vectors):
        super().__init__()
        self.vectors = tf.Variable(vectors, dtype="float32", trainable=False)
        self.count, self.dim = vectors.shape
        self.largest_norm = largest_norm(vectors)

    def block(self, queries, start, stop):
        """Scores rows by a matrix product.

        Args:
            queries: Float32 tensor `(n, dim)`.
            start: Int32 scalar, the first row.
            stop: Int32 scalar, the row after the last.

        Returns:
            Float32 `(n, stop - start)`, off by `score_error` at most.
        """
        table = self.vectors.read_value()
        return tf.matmul(queries, table[start:stop], transpose_b=True)

    def pairs(self, queries, rows):
        """Scores pairs in fixed order.

        Args:
            queries: Float32 tensor `(..., dim)`.
            rows: Int32 tensor `(...)`, shapes broadcast.

        Returns:
            Float32 `(...)`.
        """
        # A gather from the variable itself would make each later read of it a copy.
        vectors = tf.cast(tf.gather(self.vectors.read_value(), rows), "float64")
        return tf.cast(ordered_sum(tf.cast(queries, "float64") * vectors), "float32")


class Int8Table(tf.Module):
    """Vectors of int8 codes with a scale each, see `FloatTable`.

    Args:
        codes: Int8 array `(items, dim)`.
        scales: Float32 array `(items,)`.
    """

    # A block is a copy as floats, which must fit the caches.
    block_values = 2**22

    def __init__(self, codes, scales):
        super().__init__()
        self.codes = tf.Variable(codes, trainable=False)
        self.scales = tf.Variable(scales, trainable=False)
        self.count, self.dim = codes.shape
        self.largest_norm = largest_norm(codes * scales[:, None])

    def block(self, queries, start, stop):
        codes = tf.cast(self.codes.read_value()[start:stop], "float32")
        scales = self.scales.read_value()[start:stop]
        return tf.matmul(queries, codes, transpose_b=True) * scales

    def pairs(self, queries, rows):
        codes = tf.cast(tf.gather(self.codes.read_value(), rows), "float64")
        scales = tf.cast(tf.gather(self.scales.read_value(), rows), "float64")
        products = tf.cast(queries, "float64") * codes
        return tf.cast(ordered_sum(products) * scales, "float32")
