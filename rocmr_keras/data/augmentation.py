"""Augmentations that are no function of the place in an epoch: called one after the other."""

import threading

import keras
import numpy as np


class OneAfterTheOther:
    """Calls an augmentation on float images, with the seeds of the step in its variables.

    A Keras layer draws from a seed that advances with each call. Set before each call,
    it makes what is drawn a function of the seed, the epoch and the step.

    Args:
        augment: Callable that maps float images `(B, H, W, 3)` in `[0, 1]` to the same.
        seed: Integer.

    Call arguments:
        batch: Dict with `images`.
        epoch: Integer.
        step: Integer.

    Returns:
        The batch with other `images`, clipped to the range.

    Raises:
        ValueError: If the images come back in another shape, or with values that are not finite.
    """

    def __init__(self, augment, seed):
        self.augment = augment
        self.seed = seed
        self._lock = threading.Lock()

    def __call__(self, batch, epoch, step):
        # Two iterators may be under way, each in a thread of its own.
        with self._lock, keras.device("cpu:0"):
            self._set_seeds(epoch, step)
            images = keras.ops.convert_to_numpy(self.augment(batch["images"]))
        if images.shape != batch["images"].shape:
            raise ValueError(
                "`augment` must return images of the shape that it was given. Received: "
                f"{images.shape} for {batch['images'].shape}. Crop or resize in the model."
            )
        if not np.isfinite(images).all():
            raise ValueError(
                "`augment` must return finite values. Received: NaN or infinity, in epoch "
                f"{epoch}, step {step}. Look at what it divides by."
            )
        return {**batch, "images": np.clip(images, 0.0, 1.0).astype("float32")}

    def _set_seeds(self, epoch, step):
        # All variables that are no weights are states of seeds.
        weights = {id(weight) for weight in getattr(self.augment, "weights", ())}
        variables = getattr(self.augment, "variables", ())
        random = np.random.default_rng([self.seed, epoch, step])
        for variable in variables:
            if id(variable) not in weights and variable.dtype.removeprefix("u").startswith("int"):
                variable.assign(random.integers(0, 2**31, variable.shape).astype(variable.dtype))
