"""Devices that JAX divides arrays among: a step is one program, as on one device."""

import contextlib

import jax
import keras
import numpy as np
from jax.experimental import multihost_utils

# What `on_devices` set, the innermost last.
_distributions = []


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


def forgot_devices():
    """Returns whether Keras no longer knows the devices of `on_devices`."""
    known = keras.distribution.distribution()
    return bool(_distributions) and known is not _distributions[-1]


def encodes_alone():
    """Returns whether a model that is made here runs in this process, on all that it is given."""
    return jax.process_count() == 1


def predict_batch(model, batch):
    """Returns what a plain Keras model gives for one batch, a dict of arrays."""
    return model.predict_on_batch(batch)


def process():
    """Returns which of the processes that train together this is, and how many there are."""
    return jax.process_index(), jax.process_count()


def gather_numbers(numbers):
    """Returns the numbers of each process, an array `(processes, ...)`; all have one shape."""
    numbers = np.asarray(numbers)
    if jax.process_count() == 1:
        return numbers[None]
    return multihost_utils.process_allgather(numbers.astype("float32"))


@contextlib.contextmanager
def on_devices(count, weight_parts):
    """Trains inside on so many devices, or on all; see `rocmr_keras.trainers.on_devices`."""
    devices = keras.distribution.list_devices()
    if count is not None and count > len(devices):
        raise ValueError(
            f"There must be as many devices. Received: {count} devices, of which JAX sees "
            f"{', '.join(devices)}. A processor is divided by the environment variable "
            f"XLA_FLAGS=--xla_force_host_platform_device_count={count}."
        )
    devices = devices[:count]
    _check_parts(weight_parts, len(devices))
    if len(devices) == 1:
        yield 1
        return
    # Each process reads a shard of its own already.
    if weight_parts == 1:
        distribution = keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)
    else:
        distribution = DividedWeights(devices, weight_parts)
    _distributions.append(distribution)
    try:
        with distribution.scope():
            yield len(devices)
    finally:
        _distributions.pop()


def _check_parts(weight_parts, count):
    if count % weight_parts:
        raise ValueError(
            "`weight_parts` must divide the number of devices. Received: "
            f"weight_parts={weight_parts}, {count} devices. Take e.g. weight_parts={count}."
        )
    if weight_parts > 1 and jax.process_count() > 1:
        raise ValueError(
            "Weights are divided among the devices of one process, which saves all of them. "
            f"Received: weight_parts={weight_parts}, {jax.process_count()} processes. Leave "
            "`weight_parts` out, or start one process."
        )


class DividedWeights(keras.distribution.ModelParallel):
    """Divides each weight, and what an optimizer keeps of it, by its shape alone.

    So it is the same for all towers, ours and ready-made ones. XLA sees to it that a step is
    that of whole weights.

    Args:
        devices: List of names, as many as `parts` times a number of batch parts.
        parts: Integer, into how many parts a weight is divided.
    """

    def __init__(self, devices, parts):
        shape = (len(devices) // parts, parts)
        mesh = keras.distribution.DeviceMesh(shape, ("batch", "weights"), devices)
        super().__init__(layout_map=keras.distribution.LayoutMap(mesh), auto_shard_dataset=False)
        self.parts = parts

    def get_variable_layout(self, variable):
        spec, shape = [None] * len(variable.shape), variable.shape
        divisible = [axis for axis, length in enumerate(shape) if length % self.parts == 0]
        # Vectors are small, and states of seeds are read by all.
        if len(shape) > 1 and divisible:
            spec[max(divisible, key=lambda axis: (shape[axis], axis))] = "weights"
        return keras.distribution.TensorLayout(spec, self.device_mesh)
