import keras
import numpy as np
from keras import ops

from rocmr_keras.attacks.ascent import forward
from rocmr_keras.attacks.ascent import run_steps
from rocmr_keras.attacks.attack import finite_losses
from rocmr_keras.attacks.attack import keep_better
from rocmr_keras.attacks.checks import check_count
from rocmr_keras.attacks.checks import check_float_images
from rocmr_keras.attacks.checks import check_radius
from rocmr_keras.attacks.checks import check_range
from rocmr_keras.attacks.images.image_attack import ImageAttack
from rocmr_keras.backend import draw_rows

# After so many of 10,000 steps the squares lose half of their area.
_HALVINGS = (10, 50, 200, 1000, 2000, 4000, 6000, 8000)


@keras.saving.register_keras_serializable(package="rocmr_keras")
class Square(ImageAttack):
    """Square Attack: random search with squares of one colour, kept where the loss rises.

    It needs no gradient, so gradient masking does not stop it. If it does more harm than
    `APGD`, the model masks its gradients. Perturbations stay within a ball of the maximum
    norm.

    Args:
        epsilon: Float, the radius of the ball in units of `value_range`, e.g. `4 / 255`.
        num_steps: Integer, queries of the model for each image. Defaults to `1000`.
        initial_share: Float in (0, 1], the share of the image that the first squares
            cover. Defaults to `0.8`.
        value_range: Pair of floats, the valid values. Defaults to `(0.0, 1.0)`.
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        inputs: Float tensor `(batch, height, width, channels)` in `value_range`, of
            known height and width.
        loss_fn: Callable from such a tensor to losses `(batch,)`.

    Returns:
        Float32 tensor like `inputs`, never weaker than the clean image.

    Raises:
        ValueError: If a budget is negative or wider than the range, a count is not positive, a
            share or range is empty, or the inputs are integers.

    Reference:
        - [Andriushchenko et al., 2020](https://arxiv.org/abs/1912.00049)
    """

    scales_epsilon = True

    def __init__(
        self,
        epsilon,
        num_steps=1000,
        initial_share=0.8,
        value_range=(0.0, 1.0),
        seed=None,
        **kwargs,
    ):
        super().__init__(seed=seed, **kwargs)
        self.epsilon = check_radius(epsilon, "linf", value_range)
        self.num_steps = check_count("num_steps", num_steps)
        if not 0 < initial_share <= 1:
            raise ValueError(
                "`initial_share` must be in (0, 1]. "
                f"Received: initial_share={initial_share!r}. The paper takes 0.8."
            )
        self.initial_share = initial_share
        self.value_range = check_range("value_range", value_range)
        self._freeze()

    def call(self, inputs, loss_fn):
        inputs = check_float_images(inputs)
        radius = self.epsilon * self.epsilon_scale
        count, (height, width, channels) = ops.shape(inputs)[0], inputs.shape[1:]
        sides = square_sides(self.num_steps, self.initial_share, height, width)
        sides = ops.convert_to_tensor(sides)
        # All draws at once: a seed cannot advance inside a compiled loop.
        shape = (self.num_steps, count, 2)
        places = draw_rows(keras.random.uniform, shape, axis=1, seed=self.seed_generator)
        colors = radius * self._signs((self.num_steps, count, 1, 1, channels), axis=1)
        # The start of the paper: convolutions are sensitive to high frequencies.
        stripes = radius * self._signs((count, 1, width, channels))

        def bounded(perturbation):
            return ops.clip(inputs + perturbation, *self.value_range)

        def advance(index, state):
            perturbation, losses = state
            inside = squares(places[index], sides[index], height, width)
            candidate = ops.where(inside, colors[index], perturbation)
            candidate_losses = forward(loss_fn, bounded(candidate))
            return keep_better(perturbation, losses, candidate, candidate_losses)

        perturbation = ops.zeros_like(inputs) + stripes
        losses = finite_losses(forward(loss_fn, bounded(perturbation)))
        perturbation, losses = run_steps(advance, self.num_steps, (perturbation, losses))
        clean_losses = forward(loss_fn, inputs)
        return keep_better(inputs, clean_losses, bounded(perturbation), losses)[0]

    def _signs(self, shape, axis=0):
        options = {"axis": axis, "minval": -1.0, "maxval": 1.0, "seed": self.seed_generator}
        draws = draw_rows(keras.random.uniform, shape, **options)
        # Not `ops.sign`, which may return zero.
        return ops.where(draws < 0.0, -1.0, 1.0)

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "epsilon": self.epsilon,
                "num_steps": self.num_steps,
                "initial_share": self.initial_share,
                "value_range": self.value_range,
            }
        )
        return config


def square_sides(num_steps, initial_share, height, width):
    """Returns the side of the square of each step, in pixels.

    Args:
        num_steps: Integer.
        initial_share: Float, the share of the area that the first square covers.
        height: Integer.
        width: Integer.

    Returns:
        Int32 array `(num_steps,)`, falling, from 1 to the shorter side.
    """
    progress = np.arange(num_steps) * (10000 / num_steps)
    halvings = np.searchsorted(_HALVINGS, progress, side="left")
    sides = np.round(np.sqrt(initial_share * 0.5**halvings * height * width))
    return np.clip(sides, 1, min(height, width)).astype("int32")


def squares(places, side, height, width):
    """Draws one square into each image.

    Args:
        places: Float tensor `(batch, 2)` in [0, 1), row and column of the square as a
            share of where it fits.
        side: Integer scalar tensor, in pixels.
        height: Integer.
        width: Integer.

    Returns:
        Boolean tensor `(batch, height, width, 1)`, true inside.
    """
    side = ops.cast(side, "float32")
    inside = True
    for axis, length in enumerate((height, width)):
        free = length - side + 1.0
        # In float32 the product may round up to `free`, one pixel too far.
        first = ops.minimum(ops.floor(places[:, axis] * free), free - 1.0)
        first = ops.reshape(first, (-1, 1, 1, 1))
        shape = [1, 1, 1, 1]
        shape[axis + 1] = length
        line = ops.reshape(ops.arange(length, dtype="float32"), shape)
        along = ops.logical_and(line >= first, line < first + side)
        inside = ops.logical_and(inside, along)
    return inside
