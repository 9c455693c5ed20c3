"""Whether a step runs on rows of its own, or on its part of a batch of several devices."""

import contextlib
import threading


class _Local(threading.local):
    # Of a thread: TensorFlow runs each replica in one, and changes between them at will.
    across = False


_local = _Local()


@contextlib.contextmanager
def across_devices():
    """Says that the rows at hand are a part of a batch, where several devices train together.

    Outside of it `gather`, `replicas`, `share` and `draw_rows` know of one device only: an
    evaluation that one of several processes runs waits for no other.
    """
    before, _local.across = _local.across, True
    try:
        yield
    finally:
        _local.across = before


def is_across_devices():
    """Returns whether the code that runs is inside of `across_devices`."""
    return _local.across


def check_whole(weight_parts):
    """Refuses to divide weights, on backends where Keras cannot."""
    if weight_parts > 1:
        raise ValueError(
            "Weights are divided among devices on JAX only, where Keras has "
            f"`keras.distribution.ModelParallel`. Received: weight_parts={weight_parts}. Leave it "
            "out, or set KERAS_BACKEND=jax."
        )
