"""Cross-modal retrieval that survives attack, for Keras 3."""

from rocmr_keras import attacks
from rocmr_keras import callbacks
from rocmr_keras import data
from rocmr_keras import evaluation
from rocmr_keras import export
from rocmr_keras import files
from rocmr_keras import fine_tuning
from rocmr_keras import gallery
from rocmr_keras import layers
from rocmr_keras import losses
from rocmr_keras import metrics
from rocmr_keras import models
from rocmr_keras import reports
from rocmr_keras import trainers
from rocmr_keras.trainers import RoCMR
from rocmr_keras.version import __version__

__all__ = [
    "RoCMR",
    "__version__",
    "attacks",
    "callbacks",
    "data",
    "evaluation",
    "export",
    "files",
    "fine_tuning",
    "gallery",
    "layers",
    "losses",
    "metrics",
    "models",
    "reports",
    "trainers",
]
