"""Which devices a model trains on."""

import contextlib

from rocmr_keras import backend


@contextlib.contextmanager
def on_devices(count=1):
    """Makes what is built and trained inside run on several devices, as it would on one.

    It is a `keras.distribution.DataParallel` on JAX, a `tf.distribute.MirroredStrategy` on
    TensorFlow, and on PyTorch the process group of `torchrun`, which is closed at the end. Where a
    machine has no accelerator, TensorFlow divides its processor, to try it out.

    Args:
        count: Integer, or `None`: all that there are. `torchrun` says it itself. Defaults to `1`.

    Yields:
        Integer, the number of devices.

    Raises:
        ValueError: If there are not so many, or on PyTorch so many processes.

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
    with backend.on_devices(count) as found:
        yield found


def process():
    """Returns which of the processes that train together this is, and how many there are.

    Returns:
        Tuple of integers, `(0, 1)` where one process trains, on however many devices.
    """
    return backend.process()
