"""What `RoCMR` puts around the compiled step, so that nothing goes on that is not finite."""

import warnings

import keras
import numpy as np

from rocmr_keras.trainers.streams import Stretch

STOP, SKIP = "stop", "skip"


class WatchedSteps:
    """Calls the training step and looks at its loss.

    Args:
        function: Function that takes one step, or those of one execution.
        non_finite: `"stop"` or `"skip"`, what follows a loss that is not finite. The step
            itself undoes what is skipped.
        steps_per_execution: Integer, steps of one call. Defaults to `1`.

    Call arguments:
        Those of the function, which gives a dict of logs, on JAX a tuple of them and the state.

    Raises:
        ValueError: If an argument is unknown, or steps that run together are to be skipped.
        FloatingPointError: If a step was not finite and none is skipped.
    """

    def __init__(self, function, non_finite, steps_per_execution=1):
        check_non_finite(non_finite, steps_per_execution)
        self.function = function
        self.non_finite = non_finite
        self.steps_per_execution = steps_per_execution
        self.begin(Stretch())

    def begin(self, stretch):
        """Starts counting anew, at the first step of a `Stretch`."""
        self.stretch = stretch
        self.step = 0

    def __call__(self, *arguments):
        if self.step < self.stretch.passed:
            return self._pass_over(arguments)
        found = self.function(*arguments)
        logs = found[0] if isinstance(found, tuple) else found
        first, self.step = self.step, self.step + self.steps_per_execution
        loss = float(logs.get("loss", 0.0))
        if not np.isfinite(loss):
            self._tell(loss, first)
        return found

    def _pass_over(self, arguments):
        self.step += self.steps_per_execution
        # On torch batches that were read, else what is to be read, on JAX after the state.
        if hasattr(arguments[-1], "__next__"):
            for _ in range(self.steps_per_execution):
                next(arguments[-1])
        return ({}, arguments[0]) if len(arguments) == 2 else {}

    def _tell(self, loss, first):
        where = self.stretch.describe(first)
        if self.steps_per_execution > 1:
            where += f", or one of {self.steps_per_execution - 1} steps after it"
        if self.non_finite == SKIP:
            warnings.warn(f"A step was skipped, for its loss was {loss}: {where}.", stacklevel=3)
            return
        raise FloatingPointError(
            "The loss, and the weights after a step, must be finite. "
            f"Received: a loss of {loss}: {where}. Look at these examples, lower the learning "
            'rate, or build the trainer with non_finite="skip". What was saved before is whole.'
        )


def check_non_finite(non_finite, steps_per_execution=1):
    """Refuses what `WatchedSteps` does not know."""
    if non_finite not in (STOP, SKIP):
        raise ValueError(
            "`non_finite` must be 'stop' or 'skip'. "
            f"Received: non_finite={non_finite!r}. 'stop' ends training at a loss that is not "
            "finite, 'skip' undoes the step and goes on."
        )
    if non_finite == SKIP and steps_per_execution > 1:
        raise ValueError(
            "Steps are skipped one by one: `steps_per_execution` must be 1. Received: "
            f"steps_per_execution={steps_per_execution}, non_finite='skip'. "
            "Compile without it, or stop at such a step."
        )


class LaterCallbacks(keras.callbacks.CallbackList):
    """Callbacks that do not hear of the first steps of the first epoch.

    Args:
        passed: Integer, the number of these steps.
        callbacks: As `fit` takes them.
        **options: Further arguments of `keras.callbacks.CallbackList`.
    """

    def __init__(self, passed, callbacks, **options):
        super().__init__(callbacks, add_history=True, **options)
        self.passed = passed

    def on_epoch_end(self, epoch, logs=None):
        self.passed = 0
        super().on_epoch_end(epoch, logs)

    def on_train_batch_begin(self, batch, logs=None):
        if batch >= self.passed:
            super().on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        if batch >= self.passed:
            super().on_train_batch_end(batch, logs)


def later_callbacks(stretch, model, arguments):
    """Puts `LaterCallbacks` into the arguments of `fit` where steps are passed over."""
    callbacks, verbose = arguments.get("callbacks"), arguments.get("verbose", "auto")
    if stretch.passed and not isinstance(callbacks, keras.callbacks.CallbackList):
        options = {"epochs": arguments.get("epochs", 1), "steps": arguments["steps_per_epoch"]}
        options |= {"add_progbar": verbose != 0, "verbose": verbose, "model": model}
        arguments["callbacks"] = LaterCallbacks(stretch.passed, callbacks, **options)
