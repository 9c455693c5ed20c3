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
        tensorflow()
        from rocmr_keras.gallery.graph.top_k import TableSearch
        from rocmr_keras.gallery.graph.vector_tables import Int8Table

        return TableSearch(Int8Table(*quantize(vectors)))


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
