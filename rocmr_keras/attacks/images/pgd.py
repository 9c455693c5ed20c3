import keras
from keras import ops

from rocmr_keras.attacks import norms
from rocmr_keras.attacks.ascent import projected_ascent
from rocmr_keras.attacks.checks import check_budget
from rocmr_keras.attacks.checks import check_count
from rocmr_keras.attacks.checks import check_float_images
from rocmr_keras.attacks.checks import check_radius
from rocmr_keras.attacks.checks import check_range
from rocmr_keras.attacks.images.image_attack import ImageAttack
from rocmr_keras.attacks.images.restarts import best_of_restarts


@keras.saving.register_keras_serializable(package="rocmr_keras")
class PGD(ImageAttack):
    """Projected gradient descent on images, within a norm ball and a value range.

    With `num_steps=1, random_start=False` it is FGSM, with `momentum=1.0` it is MIM, which
    transfers better to other models. In training use three steps or fewer, and
    `keep_best=False`, which saves two forward passes. For evaluation keep the defaults and
    raise `num_steps`, or use `APGD`.

    Args:
        epsilon: Float, the radius of the ball in units of `value_range`, e.g. `4 / 255`.
        num_steps: Integer, gradient steps. Defaults to `10`.
        step_size: Float in the same units, or `None` for `2.5 * epsilon / num_steps`,
            at most `1.25 * epsilon` (`epsilon` without random start). Defaults to `None`.
        norm: `"linf"` (each pixel) or `"l2"` (each image). Defaults to `"linf"`.
        random_start: Boolean, whether to start from a uniform draw of the ball.
            Defaults to `True`.
        num_restarts: Integer, independent runs, of which the best counts for each example;
            more than one needs `keep_best`. Defaults to `1`.
        keep_best: Boolean, whether each example keeps its best iterate over steps and
            restarts, so that the result is never weaker than the clean image; else
            the last iterate. Defaults to `True`.
        momentum: Float, the share of the former direction that a step keeps.
            Defaults to `0.0`.
        value_range: Pair of floats, the valid values. Defaults to `(0.0, 1.0)`.
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        inputs: Float tensor `(batch, height, width, channels)` in `value_range`.
        loss_fn: Callable from such a tensor to losses `(batch,)`.
        start: Float tensor like `inputs` where the first run begins, such as what a
            smaller budget has found; projected into the ball. Defaults to `None`, a
            random draw or the clean images.

    Returns:
        Float32 tensor like `inputs`, in the ball and in the range.

    Raises:
        ValueError: If a budget is negative or wider than the range, a count is not positive,
            the range is empty, the inputs are integers, or `num_restarts` is given without
            `keep_best`.

    Example:

    ```python
    attack = PGD(epsilon=4 / 255, num_steps=20)
    adversarial = attack(images, loss_fn=lambda images: -score(images))
    ```

    Reference:
        - [Madry et al., 2018](https://arxiv.org/abs/1706.06083)
        - [Dong et al., 2018](https://arxiv.org/abs/1710.06081), MIM
    """

    scales_epsilon = True

    def __init__(
        self,
        epsilon,
        num_steps=10,
        step_size=None,
        norm="linf",
        random_start=True,
        num_restarts=1,
        keep_best=True,
        momentum=0.0,
        value_range=(0.0, 1.0),
        seed=None,
        **kwargs,
    ):
        super().__init__(seed=seed, **kwargs)
        self.epsilon = check_radius(epsilon, norm, value_range)
        self.num_steps = check_count("num_steps", num_steps)
        self.step_size = check_budget("step_size", step_size, optional=True)
        self.norm = norm
        self.random_start = random_start
        self.num_restarts = check_count("num_restarts", num_restarts)
        self.keep_best = keep_best
        self.momentum = check_budget("momentum", momentum)
        self.value_range = check_range("value_range", value_range)
        self._ball = norms.get(norm)
        if num_restarts > 1 and not keep_best:
            raise ValueError(
                "`num_restarts` above 1 needs the best run of each example. "
                f"Received: num_restarts={num_restarts}, keep_best=False. "
                "Set `keep_best=True` or `num_restarts=1`."
            )
        self._freeze()

    def call(self, inputs, loss_fn, start=None):
        inputs = check_float_images(inputs)
        radius = self.epsilon * self.epsilon_scale
        # The start given serves the first run, the restarts draw their own.
        starts = iter([start])
        return best_of_restarts(
            self.num_restarts,
            lambda: self._run(inputs, loss_fn, radius, next(starts, None)),
        )

    def _run(self, inputs, loss_fn, radius, start):
        # In a scaled ball the full step would only jump from edge to edge.
        step_size = default_step_size(self) * self.epsilon_scale
        bounded = self._ball.confine(inputs, radius, self.value_range)

        def step(current, gradient):
            return bounded(current + step_size * self._ball.ascend(gradient))

        if start is not None:
            start = bounded(ops.cast(start, "float32"))
        elif not self.random_start:
            start = inputs
        else:
            shape = ops.shape(inputs)
            start = bounded(inputs + self._ball.sample(shape, radius, self.seed_generator))
        found, losses, stalled = projected_ascent(
            start, inputs, loss_fn, step, self.num_steps, self.keep_best, self.momentum
        )
        self.count_gradients(stalled, ops.cast(ops.shape(inputs)[0] * self.num_steps, "float32"))
        return found, losses

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "epsilon": self.epsilon,
                "num_steps": self.num_steps,
                "step_size": self.step_size,
                "norm": self.norm,
                "random_start": self.random_start,
                "num_restarts": self.num_restarts,
                "keep_best": self.keep_best,
                "momentum": self.momentum,
                "value_range": self.value_range,
            }
        )
        return config


def default_step_size(attack):
    """Returns the step size of a PGD-like attack, in the units of its `epsilon`.

    All steps together cover 2.5 times the radius. A single step goes as far as the radius,
    and a quarter further after a random start.

    Reference:
        - [Madry et al., 2018](https://arxiv.org/abs/1706.06083), the sum of the steps
        - [Wong et al., 2020](https://arxiv.org/abs/2001.03994), the single step
    """
    if attack.step_size is not None:
        return attack.step_size
    most = 1.25 if attack.random_start else 1.0
    return attack.epsilon * min(most, 2.5 / attack.num_steps)
