"""Random draws for a batch of which only some rows are at hand."""

import contextlib
import math
import threading

import keras
from keras import ops

from rocmr_keras.backend.devices import replicas

# Rows that one seed draws. A batch of up to so many rows draws what Keras alone would.
BLOCK_ROWS = 128


class _Local(threading.local):
    # Of a thread: TensorFlow runs each replica in one, and changes between them at will.
    parts = ()


_local = _Local()


@contextlib.contextmanager
def part_of_batch(total, first, draws=None, size=None):
    """Says that the rows at hand are some of a batch, for what is drawn inside.

    Args:
        total: Integer or scalar tensor, rows of the whole batch on this device.
        first: Integer or scalar tensor, the place of the first row at hand.
        draws: List that the first of several parts fills with the seeds of its draws, and that
            the others read in the same order, or `None`: each part has its own. Defaults
            to `None`.
        size: Integer, the most rows of a part, all but one of which have so many, or `None` where
            it is not known. Defaults to `None`.
    """
    before = _local.parts
    known = iter(draws) if draws else None
    _local.parts = (*before, (total, first, draws, known, size))
    try:
        yield
    finally:
        _local.parts = before


def draw_rows(draw, shape, axis=0, seed=None, **options):
    """Draws for every row of the batch and keeps those at hand: parts draw as the whole would.

    Each `BLOCK_ROWS` rows have a seed of their own, so that a part draws no more than the blocks
    that it touches.

    Args:
        draw: Callable like `keras.random.uniform`.
        shape: Tuple, the shape of the rows at hand.
        axis: Integer, which dimension counts the rows. Defaults to `0`.
        seed: `keras.random.SeedGenerator`, or `None` where `draw` has its own: all rows of the
            batch are drawn then. Defaults to `None`.
        **options: Further arguments of `draw`.

    Returns:
        Tensor of that shape.
    """
    count = shape[axis]
    part = _local.parts[-1] if _local.parts else (count, 0, None, None, None)
    local, first, draws, known, size = part

    def of(rows):
        return (*shape[:axis], rows, *shape[axis + 1 :])

    if known is not None:
        # Devices are asked once: in the loop of the other parts they could not be.
        drawn, _, total, before = next(known)
    else:
        total, before = replicas(local)
        drawn = draw(of(total), **options) if seed is None else seed.next()
        if draws is not None:
            draws.append((drawn, seed, total, before))
    start = [0] * len(shape)
    start[axis] = before + first
    if seed is None:
        return ops.slice(drawn, start, shape)
    rows = _smaller(total, BLOCK_ROWS)
    block = start[axis] // rows

    def draw_block(index):
        return draw(of(rows), seed=_Known(drawn, index), **options)

    number = _touched(start[axis], count, rows)
    if size and not isinstance(number, int):
        number = _most_touched(local, before, size)
    if isinstance(number, int):
        blocks = ops.concatenate([draw_block(block + index) for index in range(number)], axis)
    else:
        indices = {"index": block + ops.arange(number)}
        blocks = ops.map(lambda each: draw_block(each["index"]), indices)
        blocks = ops.reshape(ops.moveaxis(blocks, 0, axis), of(-1))
    start[axis] -= block * rows
    return ops.slice(blocks, start, shape)


class _Known(keras.random.SeedGenerator):
    """A seed that is known, of one block, in the form that Keras's draws take."""

    # Odd, and of no pattern in base two: the golden ratio.
    _APART = 1640531527

    def __init__(self, value, block):
        # Not Keras's, which makes a variable.
        shift = ops.cast(ops.stack([block, 0]), value.dtype)
        self._value = value + shift * self._APART

    def next(self, ordered=True):
        return self._value


def _smaller(one, other):
    both = isinstance(one, int) and isinstance(other, int)
    return min(one, other) if both else ops.minimum(one, other)


def _touched(start, count, rows):
    """Returns the number of blocks that some rows lie in."""
    return (start + count - 1) // rows - start // rows + 1


def _most_touched(total, before, size):
    """Returns an integer, as compiled loops need it: how many blocks a part lies in at most."""
    known = isinstance(total, int) and isinstance(before, int)
    apart = math.gcd(total, before, size, BLOCK_ROWS) if known else 1
    return (BLOCK_ROWS - apart + size - 1) // BLOCK_ROWS + 1
