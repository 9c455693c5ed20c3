"""Galleries of embedded items: building, saving and searching them."""

from rocmr_keras.gallery.build import build_gallery
from rocmr_keras.gallery.gallery import Gallery
from rocmr_keras.gallery.indexes import ExactIndex
from rocmr_keras.gallery.indexes import Int8Index
from rocmr_keras.gallery.indexes import InvertedFileIndex
from rocmr_keras.gallery.shards import merge_top_k
from rocmr_keras.gallery.shards import search_shards
from rocmr_keras.gallery.vector_databases import to_faiss
from rocmr_keras.gallery.vector_databases import to_usearch

__all__ = [
    "ExactIndex",
    "Gallery",
    "Int8Index",
    "InvertedFileIndex",
    "build_gallery",
    "merge_top_k",
    "search_shards",
    "to_faiss",
    "to_usearch",
]
