"""Initial weights that do not depend on the backend."""

import random

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="rocmr_keras")
class PortableNormal(keras.initializers.Initializer):
    """Draws initial weights from a normal distribution, with NumPy.

    Differs from `keras.initializers.RandomNormal` in two ways: after
    `keras.utils.set_random_seed(seed)` a model starts from the same weights
    on every backend, so that runs can be compared across them; and on JAX
    nothing is compiled, where Keras's own initializers compile one program
    for every distinct shape.

    Args:
        stddev: Float, standard deviation, 0 or more.
        seed: Integer, or `None` (default) to draw one from Python's global
            generator, which `keras.utils.set_random_seed` seeds.

    Raises:
        ValueError: If `stddev` is negative.

    Example:

    ```python
    initializer = rocmr_keras.layers.PortableNormal(0.02, seed=1)
    values = initializer((3, 4))
    ```
    """

    def __init__(self, stddev, seed=None):
        if not stddev >= 0:
            raise ValueError(
                "`stddev` must be 0 or more. Received: "
                f"stddev={stddev}. Use fan_in ** -0.5 for a linear layer."
            )
        self.stddev = stddev
        self.seed = seed
        # Not in the config: copies made from a config without a seed must
        # differ, as those of Keras's initializers do.
        self._drawn_seed = random.randint(1, 10**9) if seed is None else seed

    def __call__(self, shape, dtype=None):
        values = np.random.default_rng(self._drawn_seed).standard_normal(shape)
        values = (values * self.stddev).astype("float32")
        return ops.convert_to_tensor(values, dtype=dtype)

    def get_config(self):
        return {"stddev": self.stddev, "seed": self.seed}
