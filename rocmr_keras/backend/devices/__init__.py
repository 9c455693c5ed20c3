"""Several devices that train together: which rows are here, and what the others have.

A batch is one of all devices. Each has its part of the rows, and computes the whole loss of what
`gather` brings together. On JAX all rows are in one array, and nothing is to be done.
"""

import keras

from rocmr_keras.backend.devices.across import across_devices

if keras.config.backend() == "tensorflow":
    from rocmr_keras.backend.devices.mirrored import count_replicas
    from rocmr_keras.backend.devices.mirrored import divides
    from rocmr_keras.backend.devices.mirrored import encodes_alone
    from rocmr_keras.backend.devices.mirrored import forgot_devices
    from rocmr_keras.backend.devices.mirrored import gather
    from rocmr_keras.backend.devices.mirrored import gather_numbers
    from rocmr_keras.backend.devices.mirrored import is_part
    from rocmr_keras.backend.devices.mirrored import on_devices
    from rocmr_keras.backend.devices.mirrored import predict_batch
    from rocmr_keras.backend.devices.mirrored import process
    from rocmr_keras.backend.devices.mirrored import replicas
    from rocmr_keras.backend.devices.mirrored import share
elif keras.config.backend() == "jax":
    from rocmr_keras.backend.devices.arrays import count_replicas
    from rocmr_keras.backend.devices.arrays import divides
    from rocmr_keras.backend.devices.arrays import encodes_alone
    from rocmr_keras.backend.devices.arrays import forgot_devices
    from rocmr_keras.backend.devices.arrays import gather
    from rocmr_keras.backend.devices.arrays import gather_numbers
    from rocmr_keras.backend.devices.arrays import is_part
    from rocmr_keras.backend.devices.arrays import on_devices
    from rocmr_keras.backend.devices.arrays import predict_batch
    from rocmr_keras.backend.devices.arrays import process
    from rocmr_keras.backend.devices.arrays import replicas
    from rocmr_keras.backend.devices.arrays import share
else:
    from rocmr_keras.backend.devices.processes import count_replicas
    from rocmr_keras.backend.devices.processes import divides
    from rocmr_keras.backend.devices.processes import encodes_alone
    from rocmr_keras.backend.devices.processes import forgot_devices
    from rocmr_keras.backend.devices.processes import gather
    from rocmr_keras.backend.devices.processes import gather_numbers
    from rocmr_keras.backend.devices.processes import is_part
    from rocmr_keras.backend.devices.processes import on_devices
    from rocmr_keras.backend.devices.processes import predict_batch
    from rocmr_keras.backend.devices.processes import process
    from rocmr_keras.backend.devices.processes import replicas
    from rocmr_keras.backend.devices.processes import share

__all__ = [
    "across_devices",
    "count_replicas",
    "divides",
    "encodes_alone",
    "forgot_devices",
    "gather",
    "gather_numbers",
    "is_part",
    "on_devices",
    "predict_batch",
    "process",
    "replicas",
    "share",
]
