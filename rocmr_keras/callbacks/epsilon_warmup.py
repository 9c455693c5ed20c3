import keras
from keras import ops


class EpsilonWarmup(keras.callbacks.Callback):
    """Raises the budget of the training attacks linearly from zero to full.

    A new model learns little from examples at the full budget. The callback sets the
    `epsilon_scale` weight of the attacks before each step, so nothing is compiled again.
    Validation always runs at the full budget.

    Args:
        num_steps: Integer, training steps until the budget is full, counted over the
            whole run.

    Raises:
        ValueError: If `num_steps` is not positive, or the model has no attacks.

    Example:

    ```python
    trainer.fit(batches, epochs=20, callbacks=[EpsilonWarmup(num_steps=500)])
    ```
    """

    def __init__(self, num_steps):
        super().__init__()
        if num_steps < 1:
            raise ValueError(
                f"`num_steps` must be at least 1. Received: num_steps={num_steps!r}. "
                "Leave the callback out to train at the full budget from the start."
            )
        self.num_steps = num_steps
        self._attacks = []
        self._step = 0
        self._last_batch = None

    def on_train_begin(self, logs=None):
        names = ("image_attack", "text_attack")
        attacks = [getattr(self.model, name, None) for name in names]
        self._attacks = [attack for attack in attacks if attack is not None]
        if not self._attacks:
            raise ValueError(
                "`EpsilonWarmup` needs a model with `image_attack` or `text_attack`. "
                f"Received: {type(self.model).__name__}. Train a `RoCMR` with attacks."
            )
        self._step = _steps_taken(self.model.optimizer)
        self._assign(self._scheduled())

    def on_train_end(self, logs=None):
        # Whoever evaluates or saves the trainer afterwards means the full budget.
        self._assign(1.0)

    def on_epoch_begin(self, epoch, logs=None):
        self._last_batch = None

    def on_train_batch_begin(self, batch, logs=None):
        if self._last_batch is None:
            # Not 0 where a run goes on within an epoch.
            self._last_batch = batch - 1
        if self._step <= self.num_steps:
            self._assign(self._scheduled())

    def on_train_batch_end(self, batch, logs=None):
        # More than one step where `steps_per_execution` is.
        self._step += batch - self._last_batch
        self._last_batch = batch

    def on_test_begin(self, logs=None):
        self._assign(1.0)

    def on_test_end(self, logs=None):
        self._assign(self._scheduled())

    def _scheduled(self):
        return min(self._step / self.num_steps, 1.0)

    def _assign(self, scale):
        # On JAX the weights live in the step's state while an epoch runs.
        synchronise = getattr(self.model, "jax_state_sync", None)
        if synchronise is not None:
            synchronise()
        for attack in self._attacks:
            attack.epsilon_scale.assign(scale)


def _steps_taken(optimizer):
    """Returns the steps taken so far, not zero when a run is resumed."""
    # That of float16 wraps another; with accumulation an update is several steps.
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    updates = int(ops.convert_to_numpy(optimizer.iterations))
    return updates * (optimizer.gradient_accumulation_steps or 1)
