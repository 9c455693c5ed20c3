"""Exports a gallery to vector search engines such as faiss and usearch."""

import numpy as np


def to_faiss(gallery):
    """Makes a flat faiss index, exact, by inner product.

    Args:
        gallery: `Gallery`.

    Returns:
        A `faiss.IndexFlatIP`; its labels are positions in the gallery.

    Raises:
        ImportError: If faiss-cpu is missing.
    """
    faiss = _import("faiss", "faiss-cpu")
    index = faiss.IndexFlatIP(gallery.vectors.shape[1])
    index.add(gallery.vectors)
    return index


def to_usearch(gallery):
    """Makes a usearch index, a graph that is searched approximately, by inner product.

    Args:
        gallery: `Gallery`.

    Returns:
        A `usearch.index.Index`; its keys are positions in the gallery.

    Raises:
        ImportError: If usearch is missing.
    """
    _import("usearch", "usearch")
    from usearch.index import Index

    index = Index(ndim=gallery.vectors.shape[1], metric="ip", dtype="f32")
    index.add(np.arange(len(gallery)), gallery.vectors)
    return index


def _import(name, package):
    try:
        return __import__(name)
    except ImportError as error:
        raise ImportError(
            f"This index is made with {package}, which is not installed. Run "
            '`pip install "rocmr-keras[vectors]"`.'
        ) from error
