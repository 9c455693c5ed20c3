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

    def read_vectors(self, read):
        """Returns the rounded vectors of a search that was saved, see `ExactIndex.read_vectors`."""
        return read("table/codes") * read("table/scales")[:, None]


def quantize(vectors):
    """Rounds each vector to int8.

    What was rounded once stays as it is: codes and scales of the product are the same again.

    Args:
        vectors: Float array `(items, dim)`.

    Returns:
        Int8 codes `(items, dim)` and float32 scales `(items,)`: their product is the vector.
    """
    scales = np.abs(vectors).max(axis=1).astype("float32") / 127
    # In 16 bits, so that a product with 127 is exact, and divided by it the scale.
    mantissas, exponents = np.frexp(scales)
    scales = np.ldexp(np.rint(np.ldexp(mantissas, 16)), exponents - 16)
    # A vector of zeros stays one.
    safe = np.where(scales > 0, scales, 1)
    return np.rint(vectors / safe[:, None]).astype("int8"), scales
