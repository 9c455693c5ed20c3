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
            int32 scalar, 1 to `items`, to scores and rows, both `(n, k)`.
        """
        tf = tensorflow()
        from rocmr_keras.gallery.indexes.top_k import blocked_top_k

        class Search(tf.Module):
            def __init__(self):
                super().__init__()
                self.vectors = tf.Variable(vectors, dtype="float32", trainable=False)

            def search(self, queries, k):
                table = self.vectors.read_value()

                def score(queries, start, stop):
                    return tf.matmul(queries, table[start:stop], transpose_b=True)

                return blocked_top_k(score, queries, k, *vectors.shape)

        return Search()
