"""Which devices a model trains on."""

import contextlib

from rocmr_keras import backend


@contextlib.contextmanager
def on_devices(count=1, weight_parts=1):
    """Makes what is built and trained inside run on several devices, as it would on one.

    It is a `keras.distribution.DataParallel` on JAX, a `tf.distribute.MirroredStrategy` on
    TensorFlow, and on PyTorch the process group of `torchrun`, which is closed at the end. Where a
    machine has no accelerator, TensorFlow divides its processor, to try it out. Several processes
    on JAX call `keras.distribution.initialize` first of all; their devices count together.
    Call `keras.utils.clear_session()` before, not inside: on JAX it forgets the devices, and
    `fit` says so.

    Args:
        count: Integer, or `None`: all that there are. `torchrun` says it itself. Defaults to `1`.
        weight_parts: Integer, among how many of the devices each weight is divided, for towers
            larger than the memory of one. The others have a part of the batch each. More than 1
            on JAX only, as a `keras.distribution.ModelParallel`. Defaults to `1`: all have all.

    Yields:
        Integer, the number of devices.

    Raises:
        ValueError: If there are not so many, or on PyTorch so many processes, or weights cannot
            be divided into so many parts.

    Example:

    ```python
    with rocmr_keras.trainers.on_devices(2):
        trainer = rocmr_keras.RoCMR(make_model(), terms="standard")
        trainer.compile(keras.optimizers.AdamW(1e-3))
        trainer.fit(batches.shard(*rocmr_keras.trainers.process()), epochs=20)
    ```
    """
    if count is not None and not count >= 1:
        raise ValueError(
            f"`count` must be at least 1, or None. Received: count={count!r}. None takes all."
        )
    if not weight_parts >= 1:
        raise ValueError(
            f"`weight_parts` must be at least 1. Received: weight_parts={weight_parts!r}. "
            "Leave it out: every device has all weights."
        )
    with backend.on_devices(count, weight_parts) as found:
        yield found


def process():
    """Returns which of the processes that train together this is, and how many there are.

    Returns:
        Tuple of integers, `(0, 1)` where one process trains, on however many devices.
    """
    return backend.process()
