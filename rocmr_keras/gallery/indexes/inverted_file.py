import numpy as np

from rocmr_keras.data.runtime import tensorflow
from rocmr_keras.gallery.indexes.k_means import assign
from rocmr_keras.gallery.indexes.k_means import k_means


class InvertedFileIndex:
    """Compares a query with the vectors of the cells nearest to it.

    The gallery is divided into cells around centroids found by k-means; a query looks at
    the `num_probes` cells whose centroids it is most similar to, and at more where these hold
    fewer than `k` vectors, so that `k` are always found. Much faster than `ExactIndex` from
    some 1e5 vectors on, and approximate: the manifest states the recall.

    Args:
        num_cells: Integer, at most the number of vectors. Defaults to `None`: four times
            the square root of that number.
        num_probes: Integer, cells looked at. Defaults to `16`.
        seed: Integer, of k-means. Defaults to `0`.

    Raises:
        ValueError: If a number is below 1.

    Reference:
        - [Jegou et al., 2011](https://doi.org/10.1109/TPAMI.2010.57), section IV, the inverted
          file; vectors are not compressed here
    """

    def __init__(self, num_cells=None, num_probes=16, seed=0):
        for name, value in (("num_cells", num_cells), ("num_probes", num_probes)):
            if value is not None and value < 1:
                raise ValueError(
                    f"`{name}` must be 1 or more. Received: {name}={value}. "
                    "More probes find more and take longer."
                )
        self.num_cells = num_cells
        self.num_probes = num_probes
        self.seed = seed

    def get_config(self):
        return {"num_cells": self.num_cells, "num_probes": self.num_probes, "seed": self.seed}

    def build(self, vectors):
        """Prepares the search of a gallery, see `ExactIndex.build`."""
        from rocmr_keras.gallery.graph.cells import CellSearch

        tensorflow()
        vectors = np.asarray(vectors, "float32")
        num_cells = min(self.num_cells or round(4 * len(vectors) ** 0.5), len(vectors))
        centroids = k_means(vectors, num_cells, self.seed)
        cells = assign(vectors, centroids)
        # Stable: within a cell the rows rise, as ties want them.
        order = np.argsort(cells, kind="stable").astype("int32")
        sizes = np.bincount(cells, minlength=num_cells).astype("int32")
        return CellSearch(vectors[order], order, centroids, sizes, min(self.num_probes, num_cells))

    def read_vectors(self, read):
        """Returns the vectors of a search that was saved, see `ExactIndex.read_vectors`."""
        by_cell = read("table/vectors")
        vectors = np.empty_like(by_cell)
        vectors[read("order")] = by_cell
        return vectors
