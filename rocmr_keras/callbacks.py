import os

import keras
import numpy as np
from keras import ops

from rocmr_keras.files import replacing


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
        self._last_batch = -1

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
        self._last_batch = -1

    def on_train_batch_begin(self, batch, logs=None):
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


class Checkpoint(keras.callbacks.Callback):
    """Saves the whole training state after every epoch, so that a run can be resumed.

    Unlike `keras.callbacks.BackupAndRestore` it also saves seeds, never overwrites its only
    copy (a run killed while writing loses nothing), and refuses a damaged file. On
    `rocmr_keras.data.batches` a resumed run equals one that was never interrupted, to
    rounding.

    Args:
        path: Path of the `.npz` file. The state before it stays beside it as
            `<path>.previous`.

    Example:

    ```python
    checkpoint = Checkpoint("runs/a/state.npz")
    epoch = checkpoint.restore(trainer)
    trainer.fit(batches, initial_epoch=epoch, epochs=20, callbacks=[checkpoint])
    ```
    """

    def __init__(self, path):
        super().__init__()
        self.path = os.fspath(path)

    def on_epoch_end(self, epoch, logs=None):
        synchronise = getattr(self.model, "jax_state_sync", None)
        if synchronise is not None:
            synchronise()
        values = [ops.convert_to_numpy(variable) for variable in _state(self.model)]
        state = {f"variable_{index}": value for index, value in enumerate(values)}
        with replacing(self.path, previous=f"{self.path}.previous") as temporary:
            # Given a path, NumPy would add `.npz` to it.
            with open(temporary, "wb") as file:
                np.savez(file, epoch=epoch + 1, **state)

    def restore(self, model):
        """Loads the newest whole state into a compiled model.

        Args:
            model: The compiled trainer, built like the one that was saved.

        Returns:
            Integer, the epoch to go on with: 0 where there is no state.

        Raises:
            ValueError: If there are states but all are damaged, or of another model.
        """
        damaged = []
        for path in (self.path, f"{self.path}.previous"):
            if not os.path.exists(path):
                continue
            try:
                # Reading checks the CRC-32 of every array.
                with open(path, "rb") as opened, np.load(opened) as file:
                    state = {name: file[name] for name in file.files}
            except Exception as error:
                damaged.append(f"{path}: {error}")
                continue
            return self._assign(model, state)
        if damaged:
            raise ValueError(
                f"A checkpoint must be whole. Received: {'; '.join(damaged)}. "
                "Delete the files to start from the beginning."
            )
        return 0

    def _assign(self, model, state):
        epoch = int(state.pop("epoch"))
        variables = _state(model)
        expected = [tuple(variable.shape) for variable in variables]
        values = [state[f"variable_{index}"] for index in range(len(state))]
        if [value.shape for value in values] != expected:
            raise ValueError(
                "The checkpoint must come from the same model, attacks and optimizer. "
                f"Received: {self.path} with {len(values)} arrays; the model has "
                f"{len(variables)} variables, or their shapes differ. "
                "Resume with the flags of the first run, or use another folder."
            )
        for variable, value in zip(variables, values):
            variable.assign(value)
        return epoch


def _state(model):
    model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]
