"""Captions formats and image files to `tf.data` batches; the only room that reads data."""

from rocmr_keras.data.loading import load
from rocmr_keras.data.pipeline import batches
from rocmr_keras.data.preprocessors.hub_preprocessor import HubPreprocessor
from rocmr_keras.data.preprocessors.preprocessor import Preprocessor
from rocmr_keras.data.random_shift import RandomShift
from rocmr_keras.data.split import Split

__all__ = [
    "HubPreprocessor",
    "Preprocessor",
    "RandomShift",
    "Split",
    "batches",
    "load",
]
