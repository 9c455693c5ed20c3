import numpy as np


class Items:
    """Embeddings that are read a block at a time, as float32, never copied as a whole.

    Args:
        embeddings: Real array `(count, dim)`.
        name: String, what a message calls them.
    """

    def __init__(self, embeddings, name):
        self.name = name
        self.embeddings = _check_embeddings(embeddings, name)
        self.norms = _norms(self.embeddings, name)

    def __len__(self):
        return len(self.embeddings)

    @property
    def dim(self):
        return self.embeddings.shape[1]

    def read(self, rows):
        # A slice is a view, not a copy.
        return self.embeddings[rows].astype(np.float32, copy=False)


def check_pair(queries, gallery):
    """Raises a `ValueError` if these `Items` have no similarity."""
    if queries.dim != gallery.dim:
        raise ValueError(
            f"`{queries.name}` and `{gallery.name}` must have the same width. Received: "
            f"{queries.dim} and {gallery.dim}. Take both from the same pair of encoders."
        )
    if not len(gallery):
        raise ValueError(
            f"`{gallery.name}` must not be empty. Received: {gallery.name} of shape "
            f"{gallery.embeddings.shape}. Pass at least the matches of the queries."
        )


def _norms(embeddings, name):
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.sqrt(np.einsum("nd,nd->n", embeddings, embeddings, dtype=np.float64))
    # The product of two larger norms would leave the range of float32.
    bad = np.flatnonzero(~(norms < 1e18))
    if bad.size:
        raise ValueError(
            f"`{name}` must be finite, with norms below 1e18. Received: a norm of "
            f"{norms[bad[0]]} in row {bad[0]} ({bad.size} such rows in all). Look at the "
            "encoder's output for these items: a rank would hide it."
        )
    return norms


def _check_embeddings(embeddings, name):
    embeddings = np.asarray(embeddings)
    if embeddings.dtype.name == "bfloat16":
        embeddings = embeddings.astype(np.float32)
    if embeddings.ndim != 2 or embeddings.shape[1] == 0 or embeddings.dtype.kind not in "fiu":
        raise ValueError(
            f"`{name}` must be a real array of shape `(count, dim)`. Received: {name} of shape "
            f"{embeddings.shape} and type {embeddings.dtype}. Pass one embedding a row."
        )
    return embeddings
