import functools
import json
import os
import pathlib

import numpy as np

from rocmr_keras.files import check_free
from rocmr_keras.files import new_folder
from rocmr_keras.files import replacing
from rocmr_keras.gallery.changed_items import check_new
from rocmr_keras.gallery.changed_items import rows_without
from rocmr_keras.gallery.fixed_order import largest_norm

# What half precision makes of a length of 1 is nearer.
_TOLERANCE = 0.01


class Gallery:
    """The items that are searched: a unit vector, an id and a name for each.

    Items keep their order, duplicates stay. Equal scores are ranked in that order.

    Args:
        vectors: Float array `(items, dim)`, finite, rows of length 1, up to a hundredth.
        ids: Integers `(items,)`; equal ids are allowed. Defaults to `None`: `0, 1, 2, ...`
        names: Strings `(items,)`, shown to people: a file name, a caption. Defaults to
            `None`: the ids as text.

    Raises:
        ValueError: If there is no item, lengths differ, a number is not finite, or a vector is
            not of length 1.

    Example:

    ```python
    gallery = rocmr_keras.gallery.build_gallery(model, "photos")
    gallery.save("photos.gallery")
    gallery.search(model.encode_texts(["a red apple"]), k=5)
    ```
    """

    def __init__(self, vectors, ids=None, names=None):
        self.vectors = _check_vectors(vectors)
        count = len(self.vectors)
        self.ids = _check_ids(np.arange(count) if ids is None else ids, count)
        names = [str(i) for i in self.ids] if names is None else [str(name) for name in names]
        _check_length("names", len(names), count)
        self.names = names

    def __len__(self):
        return len(self.vectors)

    def __repr__(self):
        return f"<Gallery items={len(self)} dim={self.vectors.shape[1]}>"

    @functools.cached_property
    def largest_norm(self):
        """Float, the length of the longest vector."""
        return largest_norm(self.vectors)

    def search(self, queries, k):
        """Finds the best items by comparing with all of them, in NumPy.

        The score of a pair is its inner product, summed in float64 in one fixed order and
        rounded to float32. So hits and scores depend on vectors and queries alone: any
        processor, any split into shards, and the served graph give the same.

        Args:
            queries: Float array or tensor `(n, dim)`, finite.
            k: Integer, at least 1; with fewer items there are fewer hits.

        Returns:
            Dict of arrays `(n, min(k, items))`, best first, ties in the order of the items:
            `ids` int64, `scores` float32, `names` of strings, and `rows` int64, positions in
            the gallery.

        Raises:
            ValueError: If `k` is below 1, or `queries` are not finite or of another width.
        """
        from rocmr_keras.gallery.shards import search_shards

        return search_shards([self], queries, k)

    def append(self, vectors, ids, names=None):
        """Returns a gallery with more items behind those of this one, which stays as it is.

        Nothing is embedded again: it is the gallery that all items at once would make.

        Args:
            vectors: Float array `(more, dim)`, embeddings of the same model.
            ids: Integers `(more,)`, none of them an id of this gallery. None may come twice,
                unless ids of this gallery do, as those of captions.
            names: Strings `(more,)`. Defaults to `None`: the ids as text.

        Returns:
            A `Gallery`.

        Raises:
            ValueError: If the width is another, an id is there already or comes twice, or the
                items could not be a gallery.

        Example:

        ```python
        new = rocmr_keras.gallery.build_gallery(model, "new_photos")
        first = gallery.ids.max() + 1
        gallery = gallery.append(new.vectors, first + new.ids, new.names)
        ```
        """
        added = Gallery(vectors, ids, names)
        check_new(self, added)
        return Gallery(
            np.concatenate([self.vectors, added.vectors]),
            np.concatenate([self.ids, added.ids]),
            [*self.names, *added.names],
        )

    def remove(self, ids):
        """Returns a gallery without the items of some ids; this one stays as it is.

        Args:
            ids: Integers `(some,)`, each an id of this gallery; all items that have it go.

        Returns:
            A `Gallery`, the others in their order.

        Raises:
            ValueError: If an id is not there, or no item would be left.
        """
        rows = rows_without(self, _check_ids(ids, len(ids)))
        return Gallery(self.vectors[rows], self.ids[rows], [self.names[row] for row in rows])

    def save(self, path, overwrite=False):
        """Writes a folder, whole or not at all.

        Args:
            path: Path of the folder.
            overwrite: Boolean, whether to replace it. Defaults to `False`.

        Raises:
            ValueError: If it exists and may not be replaced.
        """
        with new_folder(path, overwrite) as folder:
            np.save(folder / "vectors.npy", self.vectors)
            np.save(folder / "ids.npy", self.ids)
            with open(folder / "names.json", "w", encoding="utf-8") as file:
                json.dump(self.names, file)

    @classmethod
    def load(cls, path):
        """Reads what `save` wrote.

        Args:
            path: Path of the folder.

        Returns:
            A `Gallery`.
        """
        folder = pathlib.Path(path)
        with open(folder / "names.json", encoding="utf-8") as file:
            names = json.load(file)
        return cls(np.load(folder / "vectors.npy"), np.load(folder / "ids.npy"), names)

    def export_vectors(self, path, format="npy"):
        """Writes vectors, ids and names for a vector database (Qdrant, Milvus, LanceDB).

        Args:
            path: Path: of a folder for `"npy"`, which is that of `save`, of a file
                for `"parquet"`.
            format: `"npy"`, or `"parquet"` with the columns `id`, `name` and `vector`, a list
                of floats of fixed length; needs pyarrow. Defaults to `"npy"`.

        Raises:
            ValueError: If the format is unknown or `path` exists.
            ImportError: If pyarrow is missing.
        """
        if format not in ("npy", "parquet"):
            raise ValueError(
                f"`format` must be 'npy' or 'parquet'. Received: format={format!r}. Both hold the "
                "same; databases that import a file usually take Parquet."
            )
        if format == "npy":
            self.save(path)
        else:
            _write_parquet(self, os.fspath(path))


def _write_parquet(gallery, path):
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError(
            "Parquet is written with pyarrow, which is not installed. Run "
            '`pip install "rocmr-keras[vectors]"`, or pass format="npy".'
        ) from error
    check_free(path, overwrite=False)
    flat = pyarrow.array(gallery.vectors.ravel())
    vectors = pyarrow.FixedSizeListArray.from_arrays(flat, gallery.vectors.shape[1])
    table = pyarrow.table({"id": gallery.ids, "name": gallery.names, "vector": vectors})
    with replacing(path) as temporary:
        parquet.write_table(table, temporary)


def _check_vectors(vectors):
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or 0 in vectors.shape or vectors.dtype.kind != "f":
        raise ValueError(
            "`vectors` must be a float array (items, dim) of at least one item. Received: "
            f"vectors of shape {vectors.shape} and type {vectors.dtype}. Embed something first."
        )
    vectors = np.ascontiguousarray(vectors, "float32")
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if bad.size:
        raise ValueError(
            f"`vectors` must be finite. Received: NaN or infinity in {bad.size} rows, first "
            f"row {bad[0]}. Look at what the model makes of these items."
        )
    lengths = np.linalg.norm(vectors, axis=1)
    bad = np.flatnonzero(np.abs(lengths - 1.0) > _TOLERANCE)
    if bad.size:
        raise ValueError(
            "`vectors` must be of length 1, or long ones would be found for every query. Received: "
            f"a length of {lengths[bad[0]]:.4g} in row {bad[0]}, {bad.size} such rows. Divide each "
            "by its length: `keras.utils.normalize(vectors)`."
        )
    return vectors


def _check_ids(ids, count):
    ids = np.asarray(ids)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise ValueError(
            "`ids` must be a flat list of whole numbers. Received: ids of shape "
            f"{ids.shape} and type {ids.dtype}. Number the items, and put text into `names`."
        )
    _check_length("ids", len(ids), count)
    return ids.astype("int64")


def _check_length(name, length, count):
    if length != count:
        raise ValueError(
            f"`{name}` must have one entry for each vector. Received: len({name})={length}, "
            f"{count} vectors. Pass them in the order of the vectors."
        )
