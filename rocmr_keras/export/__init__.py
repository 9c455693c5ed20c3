"""A trained model as one artefact for a server that has neither Keras nor this package."""

from rocmr_keras.export.image_tower import check_tower_format
from rocmr_keras.export.image_tower import export_image_tower
from rocmr_keras.export.manifest import verify
from rocmr_keras.export.options import ExportOptions
from rocmr_keras.export.saved_model import export_saved_model
from rocmr_keras.export.update import export_update
from rocmr_keras.export.update import read_gallery
from rocmr_keras.files import latest_version
from rocmr_keras.files import next_version
from rocmr_keras.gallery import Gallery
from rocmr_keras.gallery import build_gallery

__all__ = [
    "ExportOptions",
    "Gallery",
    "build_gallery",
    "check_tower_format",
    "export_image_tower",
    "export_saved_model",
    "export_update",
    "latest_version",
    "next_version",
    "read_gallery",
    "verify",
]
