from keras import ops

from rocmr_keras.attacks.attack import safe_gradient
from rocmr_keras.attacks.checks import check_budget
from rocmr_keras.attacks.checks import check_float_images
from rocmr_keras.attacks.images.image_attack import ImageAttack


class UniversalStep(ImageAttack):
    """One perturbation for all images, a weight: every call takes a signed step up the batch.

    What `rocmr_keras.evaluation.universal_perturbation` runs; by itself it is no attack.

    Args:
        epsilon: Float, the largest change of a pixel, e.g. `8 / 255`.
        image_shape: Tuple of three integers, height, width and channels.
        step_size: Float, or `None` for a tenth of `epsilon`. Defaults to `None`.
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        inputs: Float tensor `(batch, *image_shape)` in [0, 1].
        loss_fn: Callable from such a tensor to losses `(batch,)`.

    Returns:
        Float32 tensor like `inputs`, with the perturbation after the step.

    Attributes:
        perturbation: Weight of `image_shape`, in `[-epsilon, epsilon]`.
    """

    def __init__(self, epsilon, image_shape, step_size=None, seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.epsilon = check_budget("epsilon", epsilon)
        self.image_shape = tuple(image_shape)
        self.step_size = check_budget("step_size", step_size, optional=True)
        self.perturbation = self.add_weight(
            shape=self.image_shape, initializer="zeros", trainable=False, name="perturbation"
        )
        self._freeze()

    def call(self, inputs, loss_fn):
        inputs = check_float_images(inputs)
        current = ops.convert_to_tensor(self.perturbation)
        _, gradient, stalled = safe_gradient(loss_fn, ops.clip(inputs + current, 0.0, 1.0))
        self.count_gradients(ops.sum(stalled), ops.cast(ops.shape(inputs)[0], "float32"))
        step = self.epsilon / 10 if self.step_size is None else self.step_size
        moved = current + step * ops.sign(ops.sum(gradient, axis=0))
        moved = ops.clip(moved, -self.epsilon, self.epsilon)
        self.perturbation.assign(moved)
        return ops.clip(inputs + moved, 0.0, 1.0)

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "epsilon": self.epsilon,
                "image_shape": self.image_shape,
                "step_size": self.step_size,
            }
        )
        return config
