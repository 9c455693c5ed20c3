import keras
import numpy as np
from keras import ops

from rocmr_keras.attacks import norms
from rocmr_keras.attacks.ascent import forward
from rocmr_keras.attacks.ascent import run_steps
from rocmr_keras.attacks.attack import finite_losses
from rocmr_keras.attacks.attack import keep_better
from rocmr_keras.attacks.attack import safe_gradient
from rocmr_keras.attacks.attack import where_example
from rocmr_keras.attacks.checks import check_count
from rocmr_keras.attacks.checks import check_float_images
from rocmr_keras.attacks.checks import check_radius
from rocmr_keras.attacks.checks import check_range
from rocmr_keras.attacks.images.image_attack import ImageAttack
from rocmr_keras.attacks.images.restarts import best_of_restarts

# The share of a step that the plain ascent has; momentum has the rest.
_ASCENT_SHARE = 0.75
# A window with more improving steps than this share keeps its step size.
_ENOUGH_IMPROVEMENT = 0.75
# The window that ends at the start: none oscillates there, and none has been halved.
_AT_START = -1.0


@keras.saving.register_keras_serializable(package="rocmr_keras")
class APGD(ImageAttack):
    """Auto-PGD on images: PGD with momentum and an adaptive step size per example.

    The first step is twice the radius. At checkpoints, which follow each other ever more
    closely, an example that oscillates or has stopped improving returns to its best iterate
    and halves its step. Unlike for `PGD` there is no step size to choose, a frequent reason
    for weak attacks.

    Args:
        epsilon: Float, the radius of the ball in units of `value_range`, e.g. `4 / 255`.
        num_steps: Integer, gradient steps. Defaults to `50`.
        norm: `"linf"` (each pixel) or `"l2"` (each image). Defaults to `"linf"`.
        num_restarts: Integer, independent runs, of which the best counts for each example.
            Defaults to `1`.
        value_range: Pair of floats, the valid values. Defaults to `(0.0, 1.0)`.
        seed: Integer or `None`, of the random start. Defaults to `None`.

    Call arguments:
        inputs: Float tensor `(batch, height, width, channels)` in `value_range`.
        loss_fn: Callable from such a tensor to losses `(batch,)`.
        start: Float tensor like `inputs` where the first run begins, such as what a
            smaller budget has found; projected into the ball. Defaults to `None`, a
            random draw.

    Returns:
        Float32 tensor like `inputs`: each example's best iterate, which is never weaker
        than the clean image.

    Raises:
        ValueError: If a budget is negative or wider than the range, a count is not positive,
            the range is empty, or the inputs are integers.

    Reference:
        - [Croce and Hein, 2020](https://arxiv.org/abs/2003.01690)
    """

    scales_epsilon = True

    def __init__(
        self,
        epsilon,
        num_steps=50,
        norm="linf",
        num_restarts=1,
        value_range=(0.0, 1.0),
        seed=None,
        **kwargs,
    ):
        super().__init__(seed=seed, **kwargs)
        self.epsilon = check_radius(epsilon, norm, value_range)
        self.num_steps = check_count("num_steps", num_steps)
        self.norm = norm
        self.num_restarts = check_count("num_restarts", num_restarts)
        self.value_range = check_range("value_range", value_range)
        self._ball = norms.get(norm)
        self._freeze()

    def call(self, inputs, loss_fn, start=None):
        inputs = check_float_images(inputs)
        radius = self.epsilon * self.epsilon_scale
        bounded = self._ball.confine(inputs, radius, self.value_range)
        # The start given serves the first run, the restarts draw their own.
        starts = iter([start])

        def run():
            begin = next(starts, None)
            if begin is None:
                shape = ops.shape(inputs)
                begin = inputs + self._ball.sample(shape, radius, self.seed_generator)
            begin = bounded(ops.cast(begin, "float32"))
            return self._climb(begin, inputs, loss_fn, bounded, radius)

        return best_of_restarts(self.num_restarts, run)

    def _climb(self, start, clean, loss_fn, bounded, radius):
        windows = np.append(np.float32(_AT_START), checkpoint_windows(self.num_steps))
        windows = ops.convert_to_tensor(windows)

        def advance(index, state):
            losses, gradient, stalled = safe_gradient(loss_fn, state["current"])
            state = _at_checkpoint(_take_in(state, gradient, losses), windows[index])
            size = _per_example(state["step_size"], clean)
            plain = bounded(state["current"] + size * self._ball.ascend(state["gradient"]))
            # The first step has no predecessor.
            share = ops.where(index == 0, 1.0, _ASCENT_SHARE)
            moved = share * (plain - state["current"])
            inertia = (1.0 - share) * (state["current"] - state["previous"])
            return {
                **state,
                "previous": state["current"],
                "current": bounded(state["current"] + moved + inertia),
                "stalled": state["stalled"] + ops.sum(stalled),
            }

        # In one loop, for a tower is traced wherever it is called: it scores a point, the start
        # first, and steps to the next; the last step leads nowhere.
        count = self.num_steps + 1
        state = run_steps(advance, count, _first_state(start, radius))
        self.count_gradients(state["stalled"], ops.cast(ops.shape(clean)[0] * count, "float32"))
        # The run began elsewhere and has never scored the clean image.
        return keep_better(clean, forward(loss_fn, clean), state["best"], state["best_losses"])

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "epsilon": self.epsilon,
                "num_steps": self.num_steps,
                "norm": self.norm,
                "num_restarts": self.num_restarts,
                "value_range": self.value_range,
            }
        )
        return config


def checkpoint_windows(num_steps):
    """Returns how many steps the window holds that ends after each step, else 0.

    The first window is 22 % of the steps, each next one 3 % shorter, down to 6 %.

    Args:
        num_steps: Integer.

    Returns:
        Float32 array `(num_steps,)`.
    """
    # In short runs a share of the steps may round to none, and the loop would never end.
    window, shrinkage, least = (max(int(share * num_steps), 1) for share in (0.22, 0.03, 0.06))
    windows, end = np.zeros(num_steps, "float32"), 0
    while end + window <= num_steps:
        end += window
        windows[end - 1] = window
        window = max(window - shrinkage, least)
    return windows


def _first_state(start, radius):
    """Returns the state before the start is scored: whatever its loss, it is the best yet."""
    nothing = ops.sum(ops.zeros_like(start), axis=tuple(range(1, len(start.shape))))
    lowest = nothing - float("inf")
    return {
        "current": start,
        "previous": start,
        "gradient": ops.zeros_like(start),
        "losses": nothing + float("inf"),
        "best": start,
        "best_gradient": ops.zeros_like(start),
        "best_losses": lowest,
        "best_at_checkpoint": lowest,
        "step_size": nothing + 2.0 * radius,
        "improvements": nothing,
        "was_halved": nothing + 1.0,
        "stalled": ops.zeros(()),
    }


def _take_in(state, gradient, losses):
    """Returns the state with the current point scored: what is best, and whether it went up."""
    losses = finite_losses(losses)
    went_up = ops.cast(losses > state["losses"], "float32")
    is_best = losses > state["best_losses"]
    return {
        **state,
        "gradient": gradient,
        "losses": losses,
        "best": where_example(is_best, state["current"], state["best"]),
        "best_gradient": where_example(is_best, gradient, state["best_gradient"]),
        "best_losses": ops.where(is_best, losses, state["best_losses"]),
        "improvements": state["improvements"] + went_up,
    }


def _at_checkpoint(state, window):
    """Halves the step of the examples that need it, and puts them back to their best."""
    is_checkpoint = window != 0
    oscillates = state["improvements"] <= _ENOUGH_IMPROVEMENT * window
    has_stopped = ops.logical_and(
        state["was_halved"] == 0, state["best_at_checkpoint"] >= state["best_losses"]
    )
    halved = ops.logical_and(is_checkpoint, ops.logical_or(oscillates, has_stopped))

    def at_checkpoint(new, old):
        # No `if`: in a compiled loop the window is a tensor.
        return ops.where(is_checkpoint, new, old)

    return {
        **state,
        "current": where_example(halved, state["best"], state["current"]),
        "gradient": where_example(halved, state["best_gradient"], state["gradient"]),
        "losses": ops.where(halved, state["best_losses"], state["losses"]),
        "step_size": ops.where(halved, state["step_size"] / 2.0, state["step_size"]),
        "was_halved": at_checkpoint(ops.cast(halved, "float32"), state["was_halved"]),
        "best_at_checkpoint": at_checkpoint(state["best_losses"], state["best_at_checkpoint"]),
        "improvements": at_checkpoint(ops.zeros_like(state["improvements"]), state["improvements"]),
    }


def _per_example(values, inputs):
    return ops.reshape(values, (-1,) + (1,) * (len(inputs.shape) - 1))
