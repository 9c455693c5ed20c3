from rocmr_keras.trainers.devices import on_devices
from rocmr_keras.trainers.devices import process
from rocmr_keras.trainers.rocmr import RoCMR
from rocmr_keras.trainers.terms import PRESETS
from rocmr_keras.trainers.terms import Terms
from rocmr_keras.trainers.terms import get as get_terms

__all__ = ["PRESETS", "RoCMR", "Terms", "get_terms", "on_devices", "process"]
