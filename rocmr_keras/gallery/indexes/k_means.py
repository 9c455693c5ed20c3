import numpy as np

# Points for each centroid to learn from: more changes little.
_SAMPLE = 50
_BLOCK = 2**14


def k_means(vectors, num_cells, seed=0, num_iterations=8):
    """Finds centroids of unit length that divide the vectors, by inner product.

    Args:
        vectors: Float32 array `(items, dim)`.
        num_cells: Integer, at most `items`.
        seed: Integer. Defaults to `0`.
        num_iterations: Integer. Defaults to `8`.

    Returns:
        Float32 array `(num_cells, dim)`.
    """
    random = np.random.default_rng(seed)
    drawn = random.permutation(len(vectors))[: num_cells * _SAMPLE]
    sample = vectors[np.sort(drawn)]
    centroids = _unit(sample[random.permutation(len(sample))[:num_cells]])
    for _ in range(num_iterations):
        cells = assign(sample, centroids)
        order = np.argsort(cells, kind="stable")
        filled, starts = np.unique(cells[order], return_index=True)
        sums = np.add.reduceat(sample[order], starts, axis=0)
        # A cell that lost all of its points begins anew at one of them.
        centroids = sample[random.integers(0, len(sample), num_cells)].copy()
        centroids[filled] = sums
        centroids = _unit(centroids)
    return centroids


def assign(vectors, centroids):
    """Returns the integer cell `(items,)` of each vector, that of the most similar centroid."""
    blocks = range(0, len(vectors), _BLOCK)
    nearest = [np.argmax(vectors[i : i + _BLOCK] @ centroids.T, axis=1) for i in blocks]
    return np.concatenate(nearest)


def _unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
