"""Replicas of a `tf.distribute.MirroredStrategy`."""

import contextlib

import numpy as np
import tensorflow as tf

from rocmr_keras.backend.devices.across import check_whole
from rocmr_keras.backend.devices.across import is_across_devices


def _context():
    """Returns the context of one of several replicas, in a step of a trainer, else `None`."""
    context = tf.distribute.get_replica_context() if is_across_devices() else None
    return context if context is not None and context.num_replicas_in_sync > 1 else None


def is_part():
    """Returns whether the rows at hand are those of one of several replicas."""
    return _context() is not None


def gather(rows):
    """Returns the rows of all replicas, in order; differentiable."""
    context = _context()
    return rows if context is None else context.all_gather(rows, axis=0)


def replicas(count):
    """Returns how many rows all devices hold, and how many of them come before this one's."""
    context = _context()
    if context is None:
        return count, 0
    counts = context.all_gather(tf.reshape(tf.cast(count, "int32"), (1,)), axis=0)
    return tf.reduce_sum(counts), tf.reduce_sum(counts[: context.replica_id_in_sync_group])


def share(total):
    """Returns this replica's part of a loss that all compute: gradients are added up here."""
    context = _context()
    return total if context is None else total / context.num_replicas_in_sync


def count_replicas(model):
    """Returns on how many devices a step of a model runs, each with rows of its own."""
    return model.distribute_strategy.num_replicas_in_sync


def divides(model, count):
    """Returns whether a batch of so many examples can be divided among the devices."""
    replicas = count_replicas(model)
    # The first replicas get one row more, the last one may get none.
    return -(-count // replicas) * (replicas - 1) < count


def forgot_devices():
    """Returns whether Keras no longer knows the devices: it is not Keras that holds them here."""
    return False


def encodes_alone():
    """Returns whether a model that is made here runs in this process, on all that it is given."""
    return True


def predict_batch(model, batch):
    """Returns what a plain Keras model gives for one batch, a dict of arrays."""
    if model.distribute_strategy.num_replicas_in_sync == 1:
        return model.predict_on_batch(batch)
    # Else each replica would run on all of it.
    count = len(next(iter(batch.values())))
    return model.predict(batch, batch_size=count, verbose=0)


def process():
    """Returns which of the processes that train together this is, and how many there are."""
    return 0, 1


def gather_numbers(numbers):
    """Returns the numbers of each process, an array `(processes, ...)`; all have one shape."""
    return np.asarray(numbers)[None]


@contextlib.contextmanager
def on_devices(count, weight_parts):
    """Trains inside on so many devices, or on all; see `rocmr_keras.trainers.on_devices`."""
    check_whole(weight_parts)
    found = len(tf.config.list_physical_devices("GPU"))
    if count is None:
        count = max(found, 1)
    if count == 1:
        yield 1
        return
    if found == 0:
        _divide_processor(count)
    elif count > found:
        raise ValueError(
            f"There must be as many devices. Received: {count} devices, of which TensorFlow sees "
            f"{found}. Ask for fewer."
        )
    names = [f"{'GPU' if found else 'CPU'}:{index}" for index in range(count)]
    with tf.distribute.MirroredStrategy(names).scope():
        yield count


def _divide_processor(count):
    """Makes logical devices of the processor, before TensorFlow has used it."""
    (processor,) = tf.config.list_physical_devices("CPU")
    parts = [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
    try:
        tf.config.set_logical_device_configuration(processor, parts)
    except RuntimeError as error:
        raise ValueError(
            "The processor must be divided before TensorFlow has used it. Received: "
            f"{count} devices. Call `on_devices` first of all."
        ) from error


def check_strategy(strategy, spans_devices):
    """Refuses strategies under which a step would not be that of one device."""
    known = (tf.distribute.MirroredStrategy, tf.distribute.OneDeviceStrategy)
    if not isinstance(strategy, known):
        raise ValueError(
            "`RoCMR` trains on several devices under `tf.distribute.MirroredStrategy`. Received: "
            f"{type(strategy).__name__}, which Keras 3 does not train under, or which was not "
            "tried. On several machines use JAX or PyTorch."
        )
    if strategy.num_replicas_in_sync > 1 and not spans_devices:
        raise ValueError(
            "Evaluation runs on one device. Received: a strategy of "
            f"{strategy.num_replicas_in_sync} replicas. Leave its `scope()` before."
        )


def sum_before_clipping(optimizer):
    """Has an optimizer look at gradients of all replicas.

    That of Keras clips, and looks for infinity in, those of one replica, and adds them up
    afterwards. Relies on its private method that does the latter.

    Raises:
        ValueError: If it accumulates gradients.
    """
    innermost = getattr(optimizer, "inner_optimizer", optimizer)
    if innermost.gradient_accumulation_steps:
        raise ValueError(
            "Under `tf.distribute.MirroredStrategy` Keras 3 cannot accumulate gradients. Received: "
            f"gradient_accumulation_steps={innermost.gradient_accumulation_steps}. Leave it out, "
            "and use a larger `batch_size`."
        )
    if "apply" in vars(optimizer):
        return
    apply = optimizer.apply

    def apply_to_sum(gradients, trainable_variables=None):
        context = tf.distribute.get_replica_context()
        known = [gradient for gradient in gradients if gradient is not None]
        summed = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, known))
        gradients = [None if gradient is None else next(summed) for gradient in gradients]
        return apply(gradients, trainable_variables)

    optimizer.apply = apply_to_sum
    innermost._all_reduce_sum_gradients = list
