import keras
from keras import ops

from rocmr_keras.attacks import norms
from rocmr_keras.attacks.checks import check_float_images
from rocmr_keras.attacks.checks import check_radius
from rocmr_keras.attacks.checks import check_range
from rocmr_keras.attacks.images.image_attack import ImageAttack


@keras.saving.register_keras_serializable(package="rocmr_keras")
class RandomNoise(ImageAttack):
    """Noise at the full radius of the ball: the control that every attack must beat.

    Args:
        epsilon: Float, the radius in units of `value_range`.
        norm: `"linf"` or `"l2"`. Defaults to `"linf"`.
        value_range: Pair of floats, the valid values. Defaults to `(0.0, 1.0)`.
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        inputs: Float tensor `(batch, height, width, channels)` in `value_range`.
        loss_fn: Ignored; taken so that it stands in for any image attack.

    Returns:
        Float32 tensor like `inputs`, in the ball and in the range.

    Raises:
        ValueError: If the budget is negative or wider than the range, the range is empty, or
            the inputs are integers.
    """

    scales_epsilon = True

    def __init__(self, epsilon, norm="linf", value_range=(0.0, 1.0), seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.epsilon = check_radius(epsilon, norm, value_range)
        self.norm = norm
        self.value_range = check_range("value_range", value_range)
        self._ball = norms.get(norm)
        self._freeze()

    def call(self, inputs, loss_fn=None):
        inputs = check_float_images(inputs)
        radius = self.epsilon * self.epsilon_scale
        shape = ops.shape(inputs)
        noise = self._ball.sample_surface(shape, radius, self.seed_generator)
        # By rounding, a draw in the Euclidean norm may lie just outside.
        noise = self._ball.project(noise, radius)
        return ops.clip(inputs + noise, *self.value_range)

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "epsilon": self.epsilon,
                "norm": self.norm,
                "value_range": self.value_range,
            }
        )
        return config
