import torch
from torch.utils.checkpoint import checkpoint

# The first chunk is run by itself, and what it draws is there for the others.
DRAWS_BEFORE = False


def run_chunks(run, total, size, state, weights):
    """Runs a function on one chunk of a batch after another, see `row_chunks`."""
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
