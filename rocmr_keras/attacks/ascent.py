from keras import ops

from rocmr_keras.attacks.attack import keep_better
from rocmr_keras.attacks.attack import safe_gradient
from rocmr_keras.backend import UNROLLED_STEPS
from rocmr_keras.backend import discard_updates


def projected_ascent(start, clean, loss_fn, step, num_steps, keep_best=True, momentum=0.0):
    """Climbs a per-example loss by steps that stay within a budget.

    Args:
        start: Float tensor `(batch, ...)`, where to begin, within the budget.
        clean: Float tensor like `start`, the unperturbed inputs.
        loss_fn: Callable from inputs to losses `(batch,)`.
        step: Callable `(inputs, gradient) -> inputs` that moves and projects.
        num_steps: Integer, gradient steps.
        keep_best: Boolean, whether to return each example's best iterate, the clean input
            included, at the cost of two forward passes; else the last iterate.
        momentum: Float, the share of the former direction that is kept when the
            gradient, scaled to a mean magnitude of 1, is added. Defaults to `0.0`.

    Returns:
        Tuple of the inputs found, their losses `(batch,)` (`None` unless `keep_best`)
        and the number of stalled gradients, a scalar tensor.
    """

    def advance(_, state):
        current, best, best_losses, direction, stalled = state
        losses, gradient, is_stalled = safe_gradient(loss_fn, current)
        if keep_best:
            best, best_losses = keep_better(best, best_losses, current, losses)
        if momentum:
            # Scaled per example, as in MIM: else the steps with large gradients would decide.
            gradient = direction = momentum * direction + _unit_mean(gradient)
        stalled = stalled + ops.sum(is_stalled)
        return step(current, gradient), best, best_losses, direction, stalled

    # `fori_loop` needs a state of fixed structure: a scalar zero replaces unused parts.
    losses = forward(loss_fn, clean) if keep_best else ops.zeros(())
    direction = ops.zeros_like(clean) if momentum else ops.zeros(())
    state = (start, clean, losses, direction, ops.zeros(()))
    current, best, best_losses, _, stalled = run_steps(advance, num_steps, state)
    if not keep_best:
        return current, None, stalled
    # The loop has scored every iterate but the last.
    losses = forward(loss_fn, current)
    return *keep_better(best, best_losses, current, losses), stalled


def run_steps(advance, num_steps, state):
    """Applies `state = advance(index, state)`, unrolled where that is the faster way."""
    if num_steps > UNROLLED_STEPS:
        return ops.fori_loop(0, num_steps, advance, state)
    for index in range(num_steps):
        state = advance(index, state)
    return state


def forward(loss_fn, inputs):
    """Returns the losses of `inputs`, with nothing written to a variable."""
    with discard_updates():
        return loss_fn(inputs)


def _unit_mean(gradient):
    axes = tuple(range(1, len(gradient.shape)))
    mean = ops.mean(ops.abs(gradient), axis=axes, keepdims=True)
    return gradient / ops.maximum(mean, 1e-30)
