"""A trained model as one artefact for a server that has neither Keras nor this package."""

from rocmr_keras.export.files import next_version
from rocmr_keras.export.gallery import Gallery
from rocmr_keras.export.gallery_building import build_gallery
from rocmr_keras.export.image_tower import export_image_tower
from rocmr_keras.export.indexes import ExactIndex
from rocmr_keras.export.indexes import Int8Index
from rocmr_keras.export.indexes import InvertedFileIndex
from rocmr_keras.export.manifest import verify
from rocmr_keras.export.outside import to_faiss
from rocmr_keras.export.outside import to_usearch
from rocmr_keras.export.saved_model import export_saved_model
from rocmr_keras.export.shards import merge_top_k
from rocmr_keras.export.shards import search_shards

__all__ = [
    "ExactIndex",
    "Gallery",
    "Int8Index",
    "InvertedFileIndex",
    "build_gallery",
    "export_image_tower",
    "export_saved_model",
    "merge_top_k",
    "next_version",
    "search_shards",
    "to_faiss",
    "to_usearch",
    "verify",
]
