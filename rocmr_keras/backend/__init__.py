"""The only room that imports a framework for computing.

It offers `value_and_grad`, `vjp`, `AdversarialSteps`, `discard_updates`, `draw_rows`,
`in_chunks`, `part_of_batch`, `random_state`, `set_random_state` and `UNROLLED_STEPS`, the longest
attack that is faster unrolled than looped; the file of the active Keras backend is chosen once,
at import.
"""

import keras

from rocmr_keras.backend.row_chunks import in_chunks
from rocmr_keras.backend.rows import draw_rows
from rocmr_keras.backend.rows import part_of_batch
from rocmr_keras.backend.scope import discard_updates

if keras.config.backend() == "tensorflow":
    from rocmr_keras.backend.tensorflow import UNROLLED_STEPS
    from rocmr_keras.backend.tensorflow import AdversarialSteps
    from rocmr_keras.backend.tensorflow import random_state
    from rocmr_keras.backend.tensorflow import set_random_state
    from rocmr_keras.backend.tensorflow import value_and_grad
    from rocmr_keras.backend.tensorflow import vjp
elif keras.config.backend() == "jax":
    from rocmr_keras.backend.jax import UNROLLED_STEPS
    from rocmr_keras.backend.jax import AdversarialSteps
    from rocmr_keras.backend.jax import random_state
    from rocmr_keras.backend.jax import set_random_state
    from rocmr_keras.backend.jax import value_and_grad
    from rocmr_keras.backend.jax import vjp
elif keras.config.backend() == "torch":
    from rocmr_keras.backend.torch import UNROLLED_STEPS
    from rocmr_keras.backend.torch import AdversarialSteps
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
    "discard_updates",
    "draw_rows",
    "in_chunks",
    "part_of_batch",
    "random_state",
    "set_random_state",
    "value_and_grad",
    "vjp",
]
