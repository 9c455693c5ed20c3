import numpy as np

from rocmr_keras.data.runtime import tensorflow


class ExactIndex:
    """Compares a query with every vector, in float32.

    Up to a million vectors this needs no better index: the product runs at the speed of
    memory, and nothing is missed. Ties go to the item that comes first.

    Example:

    ```python
    rocmr_keras.export.export_saved_model(model, "serving/1", gallery, index=ExactIndex())
    ```
    """

    def get_config(self):
        return {}

    def build(self, vectors):
        """Prepares the search of a gallery.

        Args:
            vectors: Float array `(items, dim)`.

        Returns:
            A `tf.Module` with `search(queries, k)`, which maps float32 `(n, dim)` and an
            int32 scalar, 1 to `items`, to scores and rows, both `(n, k)`, best first, ties to
            the lowest row. A score depends on the query and the item alone, see
            `Gallery.search`.
        """
        tensorflow()
        from rocmr_keras.gallery.graph.top_k import TableSearch
        from rocmr_keras.gallery.graph.vector_tables import FloatTable

        return TableSearch(FloatTable(np.asarray(vectors, "float32")))

    def read_vectors(self, read):
        """Returns the vectors of a search that was saved.

        Args:
            read: Callable from the name of a variable of what `build` returned, such as
                `"table/vectors"`, to its array.

        Returns:
            Float32 array `(items, dim)`, of which `build` makes the same search again.
        """
        return read("table/vectors")
