import keras
from keras import ops


@keras.saving.register_keras_serializable(package="rocmr_keras")
class LayerwiseAdamW(keras.optimizers.AdamW):
    """AdamW with a separate learning rate for each weight.

    The learning rate of each weight, and with it its weight decay, is the common one times a
    multiplier. (Multiplying the gradient instead would have no effect, since Adam divides it
    out.) Everything else is as in Keras: schedules, clipping by a global norm, EMA,
    accumulation and loss scaling. On torch it updates one weight at a time.

    Relies on three private methods of Keras's optimizers, here alone: the index of a
    variable, whether it decays, and where decay is applied.

    Args:
        learning_rate: As in `keras.optimizers.AdamW`. Defaults to `0.001`.
        multipliers: List of floats, one for each trainable variable of the model in its
            order, see `rocmr_keras.fine_tuning.layerwise_multipliers`. Defaults to `None`: 1
            for all.
        **kwargs: Further arguments of `keras.optimizers.AdamW`.

    Raises:
        ValueError: If a multiplier is negative, or there are more or fewer than weights.

    Example:

    ```python
    multipliers = rocmr_keras.fine_tuning.layerwise_multipliers(model, decay=0.75)
    trainer.compile(LayerwiseAdamW(1e-4, multipliers, weight_decay=0.05))
    ```
    """

    def __init__(self, learning_rate=0.001, multipliers=None, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        if multipliers is not None and any(not value >= 0 for value in multipliers):
            raise ValueError(
                "`multipliers` must not be negative. Received: "
                f"multipliers={list(multipliers)}. 0.0 keeps a weight as it is."
            )
        self.multipliers = None if multipliers is None else tuple(multipliers)

    def build(self, variables):
        if self.multipliers is not None and len(variables) != len(self.multipliers):
            raise ValueError(
                "`multipliers` must hold one number for each trainable variable. Received: "
                f"{len(self.multipliers)} multipliers, {len(variables)} variables. Compute "
                "them after freezing, from the model that is trained."
            )
        super().build(variables)

    def update_step(self, gradient, variable, learning_rate):
        if self.multipliers is not None:
            learning_rate *= self.multipliers[self._get_variable_index(variable)]
        if self.weight_decay is not None and self._use_weight_decay(variable):
            rate = ops.cast(learning_rate, variable.dtype) * self.weight_decay
            self.assign_sub(variable, variable * rate)
        super().update_step(gradient, variable, learning_rate)

    def _apply_weight_decay(self, variables):
        """Nothing: `update_step` decays each weight at its own rate."""

    def get_config(self):
        config = super().get_config()
        multipliers = None if self.multipliers is None else list(self.multipliers)
        config.update({"multipliers": multipliers})
        return config
