from rocmr_keras.trainers.rocmr import RoCMR
from rocmr_keras.trainers.terms import PRESETS
from rocmr_keras.trainers.terms import Terms

__all__ = ["PRESETS", "RoCMR", "Terms"]
