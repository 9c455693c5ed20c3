import numpy as np

from rocmr_keras.data.runtime import tensorflow


class Int8Index:
    """Compares a query with every vector, of which a number takes one byte.

    A quarter of the memory of `ExactIndex`, for galleries that would not fit: each vector is
    scaled by its largest number and rounded to 255 steps. Scores are off by about half a
    step, so neighbours of nearly equal score change places; the manifest states how often.
    """

    def get_config(self):
        return {}

    def build(self, vectors):
        """Prepares the search of a gallery, see `ExactIndex.build`."""
        tf = tensorflow()
        from rocmr_keras.gallery.indexes.top_k import blocked_top_k

        codes, scales = quantize(vectors)

        class Search(tf.Module):
            def __init__(self):
                super().__init__()
                self.codes = tf.Variable(codes, trainable=False)
                self.scales = tf.Variable(scales, trainable=False)

            def search(self, queries, k):
                table, steps = self.codes.read_value(), self.scales.read_value()

                def score(queries, start, stop):
                    block = tf.cast(table[start:stop], "float32")
                    return tf.matmul(queries, block, transpose_b=True) * steps[start:stop]

                return blocked_top_k(score, queries, k, *vectors.shape)

        return Search()


def quantize(vectors):
    """Rounds each vector to int8.

    Args:
        vectors: Float array `(items, dim)`.

    Returns:
        Int8 codes `(items, dim)` and float32 scales `(items,)`: their product is the vector.
    """
    scales = np.abs(vectors).max(axis=1).astype("float32") / 127
    # A vector of zeros stays one.
    safe = np.where(scales > 0, scales, 1)
    return np.rint(vectors / safe[:, None]).astype("int8"), scales
