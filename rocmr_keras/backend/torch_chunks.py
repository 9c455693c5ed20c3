import torch
from torch.utils.checkpoint import checkpoint

# The first chunk is run by itself, and what it draws is there for the others.
DRAWS_BEFORE = False


def run_chunks(run, total, size, state, weights):
    """Runs a function on one chunk of a batch after another, and on each again to go back.

    Args:
        run: Callable `(first, count, state, weights) -> (outputs, state)`, where the outputs
            are a list of tensors `(count, ...)`.
        total: Integer, or on TensorFlow a scalar tensor, the rows of the batch.
        size: Integer, the rows of each chunk but the first.
        state: List of tensors that the first chunk begins with.
        weights: List of tensors by which the outputs are differentiated. Without any, they
            are constants.

    Returns:
        Tuple of outputs `(total, ...)` and the state after the last chunk.
    """
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
