"""Galleries of embedded items: building, saving and searching them."""

from rocmr_keras.gallery.build import build_gallery
from rocmr_keras.gallery.gallery import Gallery
from rocmr_keras.gallery.indexes import ExactIndex
from rocmr_keras.gallery.indexes import Int8Index
from rocmr_keras.gallery.indexes import InvertedFileIndex
from rocmr_keras.gallery.listing import list_items
from rocmr_keras.gallery.ray_workers import RayWorkers
from rocmr_keras.gallery.shards import merge_top_k
from rocmr_keras.gallery.shards import search_shards
from rocmr_keras.gallery.vector_databases import to_faiss
from rocmr_keras.gallery.vector_databases import to_usearch

__all__ = [
    "ExactIndex",
    "Gallery",
    "Int8Index",
    "InvertedFileIndex",
    "RayWorkers",
    "build_gallery",
    "list_items",
    "merge_top_k",
    "search_shards",
    "to_faiss",
    "to_usearch",
]
