"""Random draws for a batch of which only some rows are at hand."""

import contextlib

import keras

if keras.config.backend() == "tensorflow":
    from rocmr_keras.backend.tensorflow import replicas
elif keras.config.backend() == "jax":
    from rocmr_keras.backend.jax import replicas
else:
    from rocmr_keras.backend.torch import replicas

_parts = []


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
    _parts.append((total, first, draws, iter(draws) if draws else None))
    try:
        yield
    finally:
        _parts.pop()


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
    local, first, draws, drawn_before = _parts[-1] if _parts else (count, 0, None, None)
    total, before = replicas(local)
    if total is count:
        return draw(shape, **options)
    if drawn_before is not None:
        drawn, _ = next(drawn_before)
    else:
        drawn = draw((total, *rest), **options)
        if draws is not None:
            draws.append((drawn, options.get("seed")))
    start = (before + first, *(0 for _ in rest))
    return keras.ops.slice(drawn, start, shape)
