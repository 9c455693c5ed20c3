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
def part_of_batch(total, first, draws=None):
    """Says that the rows at hand are some of a batch, for what is drawn inside.

    Args:
        total: Integer or scalar tensor, rows of the whole batch on this device.
        first: Integer or scalar tensor, the place of the first row at hand.
        draws: List that the first of several parts fills with what it draws for the whole
            batch, each with its seed, and that the others read in the same order, or `None`:
            each part draws. Defaults to `None`.
    """
    before = _local.parts
    _local.parts = (*before, (total, first, draws, iter(draws) if draws else None))
    try:
        yield
    finally:
        _local.parts = before


def draw_rows(draw, shape, axis=0, **options):
    """Draws for every row of the batch and keeps those at hand: parts draw as the whole would.

    Args:
        draw: Callable like `keras.random.uniform`.
        shape: Tuple, the shape of the rows at hand.
        axis: Integer, which dimension counts the rows. Defaults to `0`.
        **options: Further arguments of `draw`.

    Returns:
        Tensor of that shape.
    """
    count = shape[axis]
    local, first, draws, drawn_before = _local.parts[-1] if _local.parts else (count, 0, None, None)
    if drawn_before is not None:
        # Devices are asked once: in the loop of the other parts they could not be.
        drawn, _, before = next(drawn_before)
    else:
        total, before = replicas(local)
        if total is count:
            return draw(shape, **options)
        drawn = draw((*shape[:axis], total, *shape[axis + 1 :]), **options)
        if draws is not None:
            draws.append((drawn, options.get("seed"), before))
    start = [0] * len(shape)
    start[axis] = before + first
    return keras.ops.slice(drawn, start, shape)
