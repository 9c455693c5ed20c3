"""Several devices that train together: which rows are here, and what the others have.

A batch is one of all devices. Each has its part of the rows, and computes the whole loss of what
`gather` brings together. On JAX all rows are in one array, and nothing is to be done.
"""

import keras

from rocmr_keras.backend.devices.across import across_devices

if keras.config.backend() == "tensorflow":
    from rocmr_keras.backend.devices.tensorflow import count_replicas
    from rocmr_keras.backend.devices.tensorflow import divides
    from rocmr_keras.backend.devices.tensorflow import encodes_alone
    from rocmr_keras.backend.devices.tensorflow import gather
    from rocmr_keras.backend.devices.tensorflow import gather_numbers
    from rocmr_keras.backend.devices.tensorflow import is_part
    from rocmr_keras.backend.devices.tensorflow import on_devices
    from rocmr_keras.backend.devices.tensorflow import process
    from rocmr_keras.backend.devices.tensorflow import replicas
    from rocmr_keras.backend.devices.tensorflow import share
elif keras.config.backend() == "jax":
    from rocmr_keras.backend.devices.jax import count_replicas
    from rocmr_keras.backend.devices.jax import divides
    from rocmr_keras.backend.devices.jax import encodes_alone
    from rocmr_keras.backend.devices.jax import gather
    from rocmr_keras.backend.devices.jax import gather_numbers
    from rocmr_keras.backend.devices.jax import is_part
    from rocmr_keras.backend.devices.jax import on_devices
    from rocmr_keras.backend.devices.jax import process
    from rocmr_keras.backend.devices.jax import replicas
    from rocmr_keras.backend.devices.jax import share
else:
    from rocmr_keras.backend.devices.torch import count_replicas
    from rocmr_keras.backend.devices.torch import divides
    from rocmr_keras.backend.devices.torch import encodes_alone
    from rocmr_keras.backend.devices.torch import gather
    from rocmr_keras.backend.devices.torch import gather_numbers
    from rocmr_keras.backend.devices.torch import is_part
    from rocmr_keras.backend.devices.torch import on_devices
    from rocmr_keras.backend.devices.torch import process
    from rocmr_keras.backend.devices.torch import replicas
    from rocmr_keras.backend.devices.torch import share

__all__ = [
    "across_devices",
    "count_replicas",
    "divides",
    "encodes_alone",
    "gather",
    "gather_numbers",
    "is_part",
    "on_devices",
    "process",
    "replicas",
    "share",
]
