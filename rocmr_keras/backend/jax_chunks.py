import jax
from jax import numpy as jnp


def needs_like(total, size):
    """Returns whether a chunk has to be run before the loop, see `row_chunks`."""
    return True


def run_chunks(run, total, size, state, weights, like=None):
    """Runs a function on one chunk of a batch after another, see `row_chunks`."""

    def chunk(first, count, state):
        return run(first, count, state, weights)

    if weights:
        chunk = jax.checkpoint(chunk, static_argnums=1)
    odd = total % size
    # Compiling takes as long as for one chunk where all have one size.
    first, state = chunk(0, odd, state) if odd else (None, state)

    def advance(state, start):
        found, state = chunk(start, size, state)
        return state, found

    starts = jnp.arange(odd, total, size)
    if odd:
        # XLA would else begin with the loop before the first chunk is done.
        starts, first = jax.lax.optimization_barrier((starts, first))
    state, found = jax.lax.scan(advance, state, starts)
    found = [each.reshape(-1, *each.shape[2:]) for each in found]
    return ([jnp.concatenate(pair) for pair in zip(first, found)] if odd else found), state
