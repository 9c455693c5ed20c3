"""Several devices that train together: which rows are here, and what the others have.

A batch is one of all devices. Each has its part of the rows, and computes the whole loss of what
`gather` brings together. On JAX all rows are in one array, and nothing is to be done.
"""

import keras

from rocmr_keras.backend.devices.across import across_devices

if keras.config.backend() == "tensorflow":
    from rocmr_keras.backend.devices.tensorflow_devices import count_replicas
    from rocmr_keras.backend.devices.tensorflow_devices import divides
    from rocmr_keras.backend.devices.tensorflow_devices import encodes_alone
    from rocmr_keras.backend.devices.tensorflow_devices import gather
    from rocmr_keras.backend.devices.tensorflow_devices import gather_numbers
    from rocmr_keras.backend.devices.tensorflow_devices import is_part
    from rocmr_keras.backend.devices.tensorflow_devices import on_devices
    from rocmr_keras.backend.devices.tensorflow_devices import process
    from rocmr_keras.backend.devices.tensorflow_devices import replicas
    from rocmr_keras.backend.devices.tensorflow_devices import share
elif keras.config.backend() == "jax":
    from rocmr_keras.backend.devices.jax_devices import count_replicas
    from rocmr_keras.backend.devices.jax_devices import divides
    from rocmr_keras.backend.devices.jax_devices import encodes_alone
    from rocmr_keras.backend.devices.jax_devices import gather
    from rocmr_keras.backend.devices.jax_devices import gather_numbers
    from rocmr_keras.backend.devices.jax_devices import is_part
    from rocmr_keras.backend.devices.jax_devices import on_devices
    from rocmr_keras.backend.devices.jax_devices import process
    from rocmr_keras.backend.devices.jax_devices import replicas
    from rocmr_keras.backend.devices.jax_devices import share
else:
    from rocmr_keras.backend.devices.torch_devices import count_replicas
    from rocmr_keras.backend.devices.torch_devices import divides
    from rocmr_keras.backend.devices.torch_devices import encodes_alone
    from rocmr_keras.backend.devices.torch_devices import gather
    from rocmr_keras.backend.devices.torch_devices import gather_numbers
    from rocmr_keras.backend.devices.torch_devices import is_part
    from rocmr_keras.backend.devices.torch_devices import on_devices
    from rocmr_keras.backend.devices.torch_devices import process
    from rocmr_keras.backend.devices.torch_devices import replicas
    from rocmr_keras.backend.devices.torch_devices import share

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
