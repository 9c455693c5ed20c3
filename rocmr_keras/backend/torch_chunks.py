import ctypes
import itertools
import os

import torch
from torch.utils.checkpoint import checkpoint

# glibc before 2.38 does not find freed pieces again that PyTorch asks for aligned. Given back to
# the system, they do not add up; to do so after every chunk would cost more time than it saves.
_LIBC = ctypes.CDLL(None) if os.name == "posix" else None
_give_back = getattr(_LIBC, "malloc_trim", lambda padding: None)
_CHUNKS_PER_TRIM = 4


def needs_like(total, size):
    """Returns whether a chunk has to be run before the loop, see `row_chunks`."""
    return False


def run_chunks(run, total, size, state, weights, like=None):
    """Runs a function on one chunk of a batch after another, see `row_chunks`."""
    run = _trimming(run)
    odd = (total - 1) % size + 1
    starts = [0, *range(odd, total, size)]
    if weights and torch.is_grad_enabled():
        parts = []
        for first, end in zip(starts, [*starts[1:], total]):
            found, state = checkpoint(run, first, end - first, state, weights, use_reentrant=False)
            parts.append(found)
        return [torch.cat(pieces) for pieces in zip(*parts)], state
    outputs = []
    for first, end in zip(starts, [*starts[1:], total]):
        found, state = run(first, end - first, state, weights)
        # Put in place: a list of images that are joined in the end would take twice as much.
        outputs = outputs or [each.new_empty((total, *each.shape[1:])) for each in found]
        for whole, part in zip(outputs, found):
            whole[first:end] = part
    return outputs, state


def _trimming(run):
    calls = itertools.count(1)

    def trimming(*arguments):
        if next(calls) % _CHUNKS_PER_TRIM == 0:
            _give_back(0)
        return run(*arguments)

    return trimming
