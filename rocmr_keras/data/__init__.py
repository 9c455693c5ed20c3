"""Caption formats and image files to packs and batches; the only room that reads data."""

from rocmr_keras.data.leaks import check_leaks
from rocmr_keras.data.loading import load
from rocmr_keras.data.packs.pack import pack
from rocmr_keras.data.packs.packed_split import PackedSplit
from rocmr_keras.data.packs.packed_split import open_pack
from rocmr_keras.data.pipeline import Batches
from rocmr_keras.data.pipeline import batches
from rocmr_keras.data.preprocessors.hub_preprocessor import HubPreprocessor
from rocmr_keras.data.preprocessors.preprocessor import Preprocessor
from rocmr_keras.data.random_shift import RandomShift
from rocmr_keras.data.split import Split
from rocmr_keras.data.split import hold_out

__all__ = [
    "Batches",
    "HubPreprocessor",
    "PackedSplit",
    "Preprocessor",
    "RandomShift",
    "Split",
    "batches",
    "check_leaks",
    "hold_out",
    "load",
    "open_pack",
    "pack",
]
