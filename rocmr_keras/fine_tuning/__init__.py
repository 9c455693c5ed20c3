"""What of a tower trains, how fast, and at what cost of memory."""

from rocmr_keras.fine_tuning.blocks import ordered_blocks
from rocmr_keras.fine_tuning.freezing import freeze_tower
from rocmr_keras.fine_tuning.layerwise import layerwise_multipliers
from rocmr_keras.fine_tuning.layerwise_adamw import LayerwiseAdamW
from rocmr_keras.fine_tuning.lora import enable_lora
from rocmr_keras.fine_tuning.precision import set_precision
from rocmr_keras.fine_tuning.rematerialization import rematerialize

__all__ = [
    "LayerwiseAdamW",
    "enable_lora",
    "freeze_tower",
    "layerwise_multipliers",
    "ordered_blocks",
    "rematerialize",
    "set_precision",
]
