"""What `RoCMR` refuses where several devices train together, for it would not equal one."""

import keras
import numpy as np
from keras import ops

from rocmr_keras.backend import count_replicas
from rocmr_keras.backend import divides
from rocmr_keras.backend import forgot_devices
from rocmr_keras.backend import gather
from rocmr_keras.backend import gather_numbers
from rocmr_keras.backend import is_part
from rocmr_keras.backend import process
from rocmr_keras.fine_tuning.blocks import sublayers
from rocmr_keras.layers import BatchNormalization
from rocmr_keras.layers import Dropout

# What Keras takes where it is not told.
_BATCH_SIZE = 32


def check_devices(trainer, data, batch_size=None, numbers=None):
    """Refuses data, layers and processes that several devices cannot train on as one would.

    Args:
        trainer: The `RoCMR`.
        data: What `fit`, `evaluate` or `predict` reads, or `None`.
        batch_size: Integer, the examples in a batch of arrays. Defaults to `None`: 32.
        numbers: Dict of integers that must be the same in all processes. Defaults to `None`.

    Raises:
        ValueError: If one is refused.
    """
    if forgot_devices():
        raise ValueError(
            "Keras must know the devices of `on_devices`. Received: none, or others, for "
            "`keras.utils.clear_session()` or `keras.distribution.set_distribution` was called "
            "inside. Call it before `on_devices`, and build the model inside."
        )
    if count_replicas(trainer) > 1:
        _check_layers(trainer.dual_encoder)
        _check_chunks(trainer.chunk_size)
    for size in _batch_sizes(data, batch_size):
        if not divides(trainer, size):
            raise ValueError(
                "Every batch must be divisible among the devices. Received: a batch of "
                f"{size} examples. Use a `batch_size` that is divisible, and "
                "`rocmr_keras.data.batches(..., drop_remainder=True)`."
            )
    index, count = process()
    if count > 1:
        _check_shard(data, index, count)
        _check_alike({"`len` of the data": _length(data), **(numbers or {})})


def check_rows(batch):
    """Refuses, in a step, processes that read the same rows or different numbers of rows.

    Args:
        batch: Dict of tensors.

    Raises:
        ValueError: If they do.
    """
    if not is_part() or process()[1] == 1:
        return
    sums = [ops.sum(ops.cast(batch[name], "float32")) for name in sorted(batch)]
    count = ops.shape(next(iter(batch.values())))[0]
    here = ops.stack([ops.cast(count, "float32"), *sums])
    rows = ops.convert_to_numpy(gather(ops.expand_dims(here, 0)))
    if len(set(rows[:, 0])) > 1:
        raise ValueError(
            "Every process must read as many rows of a batch as the others. Received: "
            f"{rows[:, 0].astype(int).tolist()} rows. Use `drop_remainder=True`, and "
            "`rocmr_keras.data.batches(...).shard(index, count)`."
        )
    if (rows == rows[0]).all():
        raise ValueError(
            f"Every process must read rows of its own. Received: the same {int(rows[0, 0])} in "
            f"all {len(rows)}. Read `rocmr_keras.data.batches(...).shard(index, count)`."
        )


def _check_layers(model):
    """Refuses layers that draw, or normalise, by the rows of one replica."""
    towers = {side: getattr(model, f"{side[:-1]}_encoder", None) for side in ("images", "texts")}
    known = getattr(model, "is_constant", lambda side: False)
    looked_at = [tower for side, tower in towers.items() if tower is not None and not known(side)]
    if not any(towers.values()):
        looked_at = [model]
    for tower in looked_at:
        for layer in (tower, *sublayers(tower, recursive=True)):
            if _draws_alone(layer):
                _refuse(layer, "draws", "use `rocmr_keras.layers.Dropout`")
            if _normalizes_alone(layer):
                _refuse(layer, "normalises", "call `model.freeze(batch_norm=True)`")


def _check_chunks(chunk_size):
    # The replicas of one process meet in the graph, and inside of a loop they cannot.
    if chunk_size is not None and process()[1] == 1:
        raise ValueError(
            "Replicas of a `tf.distribute` strategy cannot wait for each other in the loop over "
            f"chunks. Received: chunk_size={chunk_size}. Leave `chunk_size` out, or train on "
            "several devices with JAX or PyTorch."
        )


def _draws_alone(layer):
    draws = getattr(layer, "seed_generator", None) is not None and getattr(layer, "rate", 1)
    return draws and not isinstance(layer, Dropout)


def _normalizes_alone(layer):
    normalizes = isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    is_whole = isinstance(layer, BatchNormalization) or getattr(layer, "synchronized", False)
    return normalizes and not is_whole


def _refuse(layer, does, remedy):
    raise ValueError(
        f"Several devices must train as one would. Received: {layer.name}, a "
        f"{type(layer).__name__} that {does} by the rows of one device. Freeze its tower, "
        f"{remedy}, or train on one device."
    )


def _batch_sizes(data, batch_size):
    """Returns the sizes of batches where they are known, a set of integers."""
    if hasattr(data, "batch_sizes"):
        return data.batch_sizes
    if not isinstance(data, dict):
        return set()
    examples, size = len(next(iter(data.values()))), batch_size or _BATCH_SIZE
    return {min(size, examples), examples % size} - {0}


def _length(data):
    return len(data) if hasattr(data, "__len__") else -1


def _check_shard(data, index, count):
    shard = getattr(data, "part", (index, count))
    if shard != (index, count):
        raise ValueError(
            "Every process must read a shard of its own. Received: shard "
            f"{shard[0]} of {shard[1]} in process {index} of {count}. Pass "
            f"`dataset.shard({index}, {count})`, or use `rocmr_keras.trainers.process()`."
        )


def _check_alike(numbers):
    rows = gather_numbers(list(numbers.values()))
    differing = [name for name, column in zip(numbers, rows.T) if len(np.unique(column)) > 1]
    if differing:
        found = {name: rows[:, list(numbers).index(name)].tolist() for name in differing}
        raise ValueError(
            "All processes must train alike. Received, by process: "
            f"{found}. Give all of them the same arguments, and one folder of states that all "
            "of them see."
        )
