import numpy as np


class Items:
    """Embeddings with ids, read in the order of the ids.

    In this order the matches of an item are neighbours, so most blocks contain none. The
    embeddings are reordered a block at a time, never copied as a whole.
    """

    def __init__(self, embeddings, ids, name, ids_name):
        self.name = name
        self.embeddings = _check_embeddings(embeddings, name)
        ids = _check_ids(ids, ids_name, len(self.embeddings), name)
        self.order = np.argsort(ids, kind="stable")
        self.is_in_order = bool(np.all(ids[1:] >= ids[:-1]))
        self.ids = ids[self.order]
        self.norms = _norms(self.embeddings, name)[self.order]

    def __len__(self):
        return len(self.ids)

    @property
    def dim(self):
        return self.embeddings.shape[1]

    def read(self, rows):
        # A slice of rows that are in order already is a view, not a copy.
        places = rows if self.is_in_order else self.order[rows]
        return self.embeddings[places].astype(np.float32, copy=False)

    def restore(self, values):
        """Values in the order of the ids, put back into the order of the caller."""
        restored = np.empty(len(self), dtype=np.int64)
        restored[self.order] = values
        return restored


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


def _check_ids(ids, ids_name, count, name):
    ids = np.asarray(ids)
    # An empty list is an array of floats to NumPy.
    if ids.shape != (count,) or (ids.dtype.kind not in "iu" and ids.size):
        raise ValueError(
            f"`{ids_name}` must be whole numbers, one for each row of `{name}`. Received: "
            f"{ids_name} of shape {ids.shape} and type {ids.dtype} for {count} rows. Equal ids "
            "on the two sides mean a match."
        )
    return ids.astype(np.int64)
