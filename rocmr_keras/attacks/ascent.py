from keras import ops

from rocmr_keras.attacks.attack import keep_better
from rocmr_keras.attacks.attack import safe_gradient
from rocmr_keras.backend import UNROLLED_STEPS
from rocmr_keras.backend import discard_updates


def projected_ascent(start, clean, loss_fn, step, num_steps, keep_best=True):
    """Climbs a per-example loss by steps that stay within a budget.

    Args:
        start: Float tensor `(batch, ...)`, where to begin, within the budget.
        clean: Float tensor like `start`, the unperturbed inputs.
        loss_fn: Callable from inputs to losses `(batch,)`.
        step: Callable `(inputs, gradient) -> inputs` that moves and projects.
        num_steps: Int, gradient steps.
        keep_best: Bool, whether to return each example's best iterate, the clean input
            included, at the cost of two forward passes; else the last iterate.

    Returns:
        Tuple of the inputs found, their losses `(batch,)` (`None` unless `keep_best`)
        and the number of stalled gradients, a scalar tensor.
    """

    def advance(_, state):
        current, best, best_losses, stalled = state
        losses, gradient, is_stalled = safe_gradient(loss_fn, current)
        if keep_best:
            best, best_losses = keep_better(best, best_losses, current, losses)
        stalled = stalled + ops.sum(is_stalled)
        return step(current, gradient), best, best_losses, stalled

    # Without `keep_best` the second and third entries are carried, never read.
    losses = _forward(loss_fn, clean) if keep_best else ops.zeros(())
    state = (start, clean, losses, ops.zeros(()))
    if num_steps <= UNROLLED_STEPS:
        for index in range(num_steps):
            state = advance(index, state)
    else:
        state = ops.fori_loop(0, num_steps, advance, state)
    current, best, best_losses, stalled = state
    if not keep_best:
        return current, None, stalled
    losses = _forward(loss_fn, current)
    return *keep_better(best, best_losses, current, losses), stalled


def _forward(loss_fn, inputs):
    with discard_updates():
        return loss_fn(inputs)
