import json
import os
import time
import warnings

import keras
import numpy as np
from keras import ops

from rocmr_keras.backend import build_optimizer
from rocmr_keras.backend import process
from rocmr_keras.backend import random_state
from rocmr_keras.backend import set_random_state
from rocmr_keras.callbacks import state_file


class Checkpoint(keras.callbacks.Callback):
    """Saves the whole training state, so that a run can be resumed as if it had not ended.

    Unlike `keras.callbacks.BackupAndRestore` and `OrbaxCheckpoint` it also saves seeds,
    torch's generator, metrics and the place in the data, keeps no state that is not finite,
    never overwrites its only copy (a run killed while writing loses nothing), and notices a
    damaged file. On `rocmr_keras.data.batches` a resumed run equals one that was never
    interrupted. Of processes that train together the first one writes, and all must see the file.

    Args:
        path: Path of the `.npz` file. The state before it stays beside it as
            `<path>.previous`.
        every_steps: Integer, after how many steps to save within an epoch too. Defaults to
            `None`.
        every_minutes: Float, after how many minutes to save within an epoch too. Defaults to
            `None`.

    Attributes:
        history: List of dicts, `"epoch"` and the figures of each epoch up to the state.

    Raises:
        ValueError: If a number is not positive.

    Example:

    ```python
    checkpoint = Checkpoint("runs/a/state.npz", every_minutes=10)
    epoch = checkpoint.restore(trainer, batches)
    trainer.fit(batches, initial_epoch=epoch, epochs=20, callbacks=[checkpoint])
    ```
    """

    def __init__(self, path, every_steps=None, every_minutes=None):
        super().__init__()
        for name, value in (("every_steps", every_steps), ("every_minutes", every_minutes)):
            if value is not None and not value > 0:
                raise ValueError(
                    f"`{name}` must be positive. Received: {name}={value!r}. "
                    "Leave it out to save after each epoch only."
                )
        self.path = os.fspath(path)
        self.every_steps = every_steps
        self.every_minutes = every_minutes
        self.history = []
        self._resumed = {}

    def on_train_begin(self, logs=None):
        self._note_saving(0)
        if self.every_steps or self.every_minutes:
            self._check_resumable()

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self._saved_step = 0
        metrics = self._resumed.pop("metrics", None)
        if metrics:
            # After Keras has set them to zero.
            for variable, value in zip(self.model.metrics_variables, metrics, strict=True):
                variable.assign(value)

    def on_train_batch_begin(self, batch, logs=None):
        # Only now has Keras made its iterators, for which torch draws a number.
        set_random_state(self._resumed.pop("random", {}))

    def on_train_batch_end(self, batch, logs=None):
        steps = batch + 1
        by_steps = self.every_steps and steps - self._saved_step >= self.every_steps
        minutes = (time.monotonic() - self._saved_at) / 60
        if by_steps or (self.every_minutes and minutes >= self.every_minutes):
            self.save_within_epoch(steps)

    def on_epoch_end(self, epoch, logs=None):
        figures = {name: float(value) for name, value in (logs or {}).items()}
        self.history = [row for row in self.history if row["epoch"] < epoch]
        self.history.append({"epoch": epoch, **figures})
        self._save({"epoch": epoch + 1})
        self._note_saving(0)

    def on_test_begin(self, logs=None):
        # A validation draws nothing, but for iterators that a resumed run makes later.
        self._before_test = random_state()

    def on_test_end(self, logs=None):
        set_random_state(self._before_test)

    def save_within_epoch(self, steps):
        """Saves the state after some steps of the epoch that runs.

        Args:
            steps: Integer, how many of its steps were taken.

        Returns:
            Boolean, whether it was saved: after the last step, or where the data does not
            know its steps, only `on_epoch_end` saves.
        """
        if not self.saves_within_epochs or steps >= self.params["steps"]:
            return False
        place = {"epoch": self.epoch, "step": steps, "steps": self.params["steps"]}
        self._save(place)
        self._note_saving(steps)
        return True

    def _note_saving(self, steps):
        self._saved_step = steps
        self._saved_at = time.monotonic()

    @property
    def saves_within_epochs(self):
        """Boolean, whether the `fit` that runs could go on in the middle of an epoch."""
        return getattr(self.model, "resumes_within_epochs", False)

    def _check_resumable(self):
        if not self.saves_within_epochs:
            raise ValueError(
                "A state within an epoch needs data that can begin there: "
                "`rocmr_keras.data.batches`, and `RoCMR` with whole epochs of it. Received: "
                f"every_steps={self.every_steps}, every_minutes={self.every_minutes}. "
                "Leave both out to save after each epoch."
            )

    def _save(self, place):
        # Of processes that train together all have the same state, and one writes it.
        if process()[0]:
            return
        synchronise = getattr(self.model, "jax_state_sync", None)
        if synchronise is not None:
            synchronise()
        variables = _variables(self.model)
        values = [ops.convert_to_numpy(variable) for variable in variables]
        state_file.check_finite(variables, values)
        history = np.frombuffer(json.dumps(self.history).encode(), "uint8")
        state = {f"variable_{index}": value for index, value in enumerate(values)}
        if "step" in place:
            for index, variable in enumerate(self.model.metrics_variables):
                state[f"metric_{index}"] = ops.convert_to_numpy(variable)
        random = {f"random_{name}": value for name, value in random_state().items()}
        state_file.write_state(self.path, {**place, "history": history, **random, **state})

    def restore(self, model, data=None):
        """Loads the newest whole state into a compiled model.

        Args:
            model: The compiled trainer, built like the one that was saved.
            data: `rocmr_keras.data.Batches` that it will be trained on, to go on in the middle
                of an epoch. Defaults to `None`.

        Returns:
            Integer, the epoch to go on with: 0 where there is no state. Where a newer file is
            damaged, a warning names it.

        Raises:
            ValueError: If there are states but all are damaged, or of another model, or the
                state is from within an epoch and `data` cannot begin there.
        """
        path, state, damaged = state_file.read_newest(self.path)
        if state is None and damaged:
            raise ValueError(
                f"A checkpoint must be whole. Received: {'; '.join(damaged)}. "
                "Delete the files to start from the beginning."
            )
        if state is None:
            return 0
        if damaged:
            warnings.warn(
                f"A damaged checkpoint was passed over: {'; '.join(damaged)}. "
                f"The state before it is used: {path}.",
                stacklevel=2,
            )
        return self._assign(model, data, path, state)

    def _assign(self, model, data, path, state):
        variables = _variables(model)
        values = _numbered(state, "variable")
        expected = [tuple(variable.shape) for variable in variables]
        if [value.shape for value in values] != expected:
            raise ValueError(
                "The checkpoint must come from the same model, attacks and optimizer. "
                f"Received: {path} with {len(values)} arrays; the model has "
                f"{len(variables)} variables, or their shapes differ. "
                "Resume with the flags of the first run, or use another folder."
            )
        epoch, step = int(state["epoch"]), int(state.get("step", 0))
        if step:
            _check_data(data, path, step, int(state["steps"]))
        if data is not None:
            data.epoch, data.step = epoch, step
        for variable, value in zip(variables, values):
            variable.assign(value)
        self.history = json.loads(state["history"].tobytes()) if "history" in state else []
        random = {name: value for name, value in state.items() if name.startswith("random_")}
        self._resumed = {
            "metrics": _numbered(state, "metric"),
            "random": {name.removeprefix("random_"): value for name, value in random.items()},
        }
        return epoch


def _variables(model):
    build_optimizer(model)
    return [*model.variables, *model.optimizer.variables]


def _numbered(state, kind):
    count = sum(name.startswith(f"{kind}_") for name in state)
    return [state[f"{kind}_{index}"] for index in range(count)]


def _check_data(data, path, step, steps):
    if not hasattr(data, "step") or len(data) != steps:
        received = "no data" if data is None else f"{type(data).__name__} of {len(data)} steps"
        raise ValueError(
            f"The state was saved within an epoch, after step {step} of {steps}, and needs data "
            f"that can begin there. Received: {path}, {received}. Pass the same "
            "`rocmr_keras.data.batches` to `restore` and to `fit`."
        )
