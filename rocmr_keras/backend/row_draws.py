"""Random draws for a batch of which only some rows are at hand."""

import contextlib
import functools
import math
import threading
import typing

import keras
from keras import ops

from rocmr_keras.backend.devices import replicas

# Rows that one seed draws. A batch of up to so many rows draws what Keras alone would.
BLOCK_ROWS = 128


class _Part(typing.NamedTuple):
    """What `part_of_batch` says, and an iterator over the draws that an earlier part has left."""

    total: object
    first: object = 0
    draws: list | None = None
    size: int | None = None
    known: typing.Iterator | None = None


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
    part = _Part(total, first, draws, size, iter(draws) if draws else None)
    _local.parts = (*before, part)
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
    part = _local.parts[-1] if _local.parts else _Part(shape[axis])

    def draw_some(rows, **seeded):
        return draw((*shape[:axis], rows, *shape[axis + 1 :]), **seeded, **options)

    if part.known is not None:
        # Devices are asked once: in the loop of the other parts they could not be.
        drawn, _, total, before = next(part.known)
    else:
        total, before = replicas(part.total)
        drawn = draw_some(total) if seed is None else seed.next()
        if part.draws is not None:
            part.draws.append((drawn, seed, total, before))
    place = before + part.first
    if seed is not None:
        rows = _smaller(total, BLOCK_ROWS)
        block, number = place // rows, _touched(part, before, shape[axis], rows)
        known_seed = functools.partial(_Known, drawn)
        drawn = _draw_blocks(
            lambda index: draw_some(rows, seed=known_seed(index)), block, number, axis
        )
        place = place - block * rows
    start = [0] * len(shape)
    start[axis] = place
    return ops.slice(drawn, start, shape)


def _draw_blocks(draw_block, first, number, axis):
    if isinstance(number, int):
        blocks = [draw_block(first + index) for index in range(number)]
        return blocks[0] if number == 1 else ops.concatenate(blocks, axis)
    indices = {"index": first + ops.arange(number)}
    blocks = ops.moveaxis(ops.map(lambda each: draw_block(each["index"]), indices), 0, axis)
    shape = ops.shape(blocks)
    return ops.reshape(blocks, (*shape[:axis], -1, *shape[axis + 2 :]))


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


def _touched(part, before, count, rows):
    """Returns how many blocks of rows a part lies in, or lies in at most."""
    start = before + part.first
    number = (start + count - 1) // rows - start // rows + 1
    if isinstance(number, int) or part.size is None:
        return number
    # Compiled loops need an integer.
    known = isinstance(part.total, int) and isinstance(before, int)
    apart = math.gcd(part.total, before, part.size, BLOCK_ROWS) if known else 1
    return (BLOCK_ROWS - apart + part.size - 1) // BLOCK_ROWS + 1
