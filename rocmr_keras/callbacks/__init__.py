"""What goes along with `fit`: budgets that rise, states that are saved, an orderly end."""

from rocmr_keras.callbacks.checkpoint import Checkpoint
from rocmr_keras.callbacks.epsilon_warmup import EpsilonWarmup
from rocmr_keras.callbacks.history import write_history
from rocmr_keras.callbacks.interruption import Interrupted
from rocmr_keras.callbacks.interruption import Interruption
from rocmr_keras.callbacks.state_file import check_finite

__all__ = [
    "Checkpoint",
    "EpsilonWarmup",
    "Interrupted",
    "Interruption",
    "check_finite",
    "write_history",
]
