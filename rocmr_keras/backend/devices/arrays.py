"""Devices that JAX divides arrays among: a step is one program, as on one device."""

import contextlib

import jax
import keras
import numpy as np
from jax.experimental import multihost_utils


def is_part():
    """Returns whether the rows at hand are those of one of several devices: never here."""
    return False


def gather(rows):
    """Returns the rows of all devices: here they are one array already."""
    return rows


def replicas(count):
    """Returns how many rows all devices hold, and how many of them come before this one's."""
    return count, 0


def share(total):
    """Returns this device's part of a loss that all compute: here it is computed once."""
    return total


def count_replicas(model):
    """Returns on how many devices a step of a model runs, each with rows of its own."""
    # A step is one program of all devices, and its rows are all rows.
    return 1


def divides(model, count):
    """Returns whether a batch of so many examples can be divided among the devices."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        return True
    mesh = distribution.device_mesh
    return count % mesh.shape[mesh.axis_names.index(distribution.batch_dim_name)] == 0


def encodes_alone():
    """Returns whether a model that is made here runs in this process, on all that it is given."""
    return jax.process_count() == 1


def process():
    """Returns which of the processes that train together this is, and how many there are."""
    return jax.process_index(), jax.process_count()


def gather_numbers(numbers):
    """Returns the numbers of each process, a float array `(processes, numbers)`."""
    numbers = np.array([numbers], "float32")
    if jax.process_count() == 1:
        return numbers
    return multihost_utils.process_allgather(numbers, tiled=True)


@contextlib.contextmanager
def on_devices(count):
    """Trains inside on so many devices, or on all; see `rocmr_keras.trainers.on_devices`."""
    devices = keras.distribution.list_devices()
    if count is not None and count > len(devices):
        raise ValueError(
            f"There must be as many devices. Received: {count} devices, of which JAX sees "
            f"{', '.join(devices)}. A processor is divided by the environment variable "
            f"XLA_FLAGS=--xla_force_host_platform_device_count={count}."
        )
    devices = devices[:count]
    if len(devices) == 1:
        yield 1
        return
    with keras.distribution.DataParallel(devices=devices).scope():
        yield len(devices)
