"""The only room that imports a framework for computing.

It offers `value_and_grad`, `vjp`, `convolve`, `convolve_depthwise`, `AdversarialSteps`,
`build_optimizer`, `discard_updates`, `random_state`, `set_random_state` and `UNROLLED_STEPS`, the
longest attack that is faster unrolled than looped; `draw_rows`, `in_chunks`, `part_of_batch`,
`rows_in_chunks` and `take_rows` for a batch of which some rows are elsewhere; and what several
devices need, see `devices`. The file of the active Keras backend is chosen once, at import.
"""

import keras

from rocmr_keras.backend.channels_last import convolve
from rocmr_keras.backend.channels_last import convolve_depthwise
from rocmr_keras.backend.devices import across_devices
from rocmr_keras.backend.devices import count_replicas
from rocmr_keras.backend.devices import divides
from rocmr_keras.backend.devices import encodes_alone
from rocmr_keras.backend.devices import forgot_devices
from rocmr_keras.backend.devices import gather
from rocmr_keras.backend.devices import gather_numbers
from rocmr_keras.backend.devices import is_part
from rocmr_keras.backend.devices import on_devices
from rocmr_keras.backend.devices import predict_batch
from rocmr_keras.backend.devices import process
from rocmr_keras.backend.devices import replicas
from rocmr_keras.backend.devices import share
from rocmr_keras.backend.row_chunks import in_chunks
from rocmr_keras.backend.row_chunks import rows_in_chunks
from rocmr_keras.backend.row_chunks import take_rows
from rocmr_keras.backend.row_draws import draw_rows
from rocmr_keras.backend.row_draws import part_of_batch
from rocmr_keras.backend.scope import discard_updates

if keras.config.backend() == "tensorflow":
    from rocmr_keras.backend.tensorflow import UNROLLED_STEPS
    from rocmr_keras.backend.tensorflow import AdversarialSteps
    from rocmr_keras.backend.tensorflow import build_optimizer
    from rocmr_keras.backend.tensorflow import random_state
    from rocmr_keras.backend.tensorflow import set_random_state
    from rocmr_keras.backend.tensorflow import value_and_grad
    from rocmr_keras.backend.tensorflow import vjp
elif keras.config.backend() == "jax":
    from rocmr_keras.backend.jax import UNROLLED_STEPS
    from rocmr_keras.backend.jax import AdversarialSteps
    from rocmr_keras.backend.jax import build_optimizer
    from rocmr_keras.backend.jax import random_state
    from rocmr_keras.backend.jax import set_random_state
    from rocmr_keras.backend.jax import value_and_grad
    from rocmr_keras.backend.jax import vjp
elif keras.config.backend() == "torch":
    from rocmr_keras.backend.torch import UNROLLED_STEPS
    from rocmr_keras.backend.torch import AdversarialSteps
    from rocmr_keras.backend.torch import build_optimizer
    from rocmr_keras.backend.torch import random_state
    from rocmr_keras.backend.torch import set_random_state
    from rocmr_keras.backend.torch import value_and_grad
    from rocmr_keras.backend.torch import vjp
else:
    raise ValueError(
        "rocmr_keras runs on the Keras backends 'tensorflow', 'jax' and 'torch'. "
        f"Received: KERAS_BACKEND={keras.config.backend()!r}. "
        "Set the environment variable before Python starts."
    )

__all__ = [
    "UNROLLED_STEPS",
    "AdversarialSteps",
    "across_devices",
    "build_optimizer",
    "convolve",
    "convolve_depthwise",
    "count_replicas",
    "discard_updates",
    "divides",
    "draw_rows",
    "encodes_alone",
    "forgot_devices",
    "gather",
    "gather_numbers",
    "in_chunks",
    "is_part",
    "on_devices",
    "part_of_batch",
    "predict_batch",
    "process",
    "random_state",
    "replicas",
    "rows_in_chunks",
    "set_random_state",
    "share",
    "take_rows",
    "value_and_grad",
    "vjp",
]
