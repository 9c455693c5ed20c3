"""Random draws for a batch of which only some rows are at hand."""

import contextlib
import threading

import keras

from rocmr_keras.backend.devices import replicas


class _Local(threading.local):
    # Of a thread: TensorFlow runs each replica in one, and changes between them at will.
    parts = ()


_local = _Local()


@contextlib.contextmanager
def part_of_batch(total, first):
    """Says that the rows at hand are some of a batch, for what is drawn inside.

    Args:
        total: Integer or scalar tensor, rows of the whole batch on this device.
        first: Integer or scalar tensor, the place of the first row at hand.
    """
    before = _local.parts
    _local.parts = (*before, (total, first))
    try:
        yield
    finally:
        _local.parts = before


def draw_rows(draw, shape, **options):
    """Draws for every row of the batch and keeps those at hand: parts draw as the whole would.

    Args:
        draw: Callable like `keras.random.uniform`.
        shape: Tuple, the shape of the rows at hand; rows come first.
        **options: Further arguments of `draw`.

    Returns:
        Tensor of that shape.
    """
    count, *rest = shape
    local, first = _local.parts[-1] if _local.parts else (count, 0)
    total, before = replicas(local)
    if total is count:
        return draw(shape, **options)
    drawn = draw((total, *rest), **options)
    start = (before + first, *(0 for _ in rest))
    return keras.ops.slice(drawn, start, shape)
