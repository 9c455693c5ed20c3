import signal
import sys
import threading

import keras

from rocmr_keras.backend import gather_numbers
from rocmr_keras.backend import process

_SIGNALS = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Control-C"}


class Interrupted(SystemExit):
    """Ends the program as a signal would have, after the step that ran was saved.

    Args:
        number: Integer, the number of the signal.
        message: String, what was saved and how to go on.

    Attributes:
        code: Integer, the exit status: 143 for SIGTERM, 130 for Control-C.
    """

    def __init__(self, number, message):
        super().__init__(128 + number)
        self.message = message

    def __str__(self):
        return self.message


class Interruption(keras.callbacks.Callback):
    """Finishes the step and saves the state at SIGTERM or Control-C, then ends the program.

    A second signal ends it at once. After the last step of an epoch its validation comes
    first. Where a state within an epoch cannot be taken up again, that of the last epoch
    counts. Signals are heard inside of the `with` block, in the main thread only. It comes
    after the callbacks that look at a step.

    Args:
        checkpoint: The `Checkpoint` among the callbacks.
        advice: String, how to go on, a sentence. Defaults to one about `Checkpoint.restore`.

    Example:

    ```python
    with Interruption(checkpoint) as interruption:
        trainer.fit(batches, epochs=20, callbacks=[checkpoint, interruption])
    ```
    """

    def __init__(self, checkpoint, advice="Go on with `Checkpoint.restore`."):
        super().__init__()
        self.checkpoint = checkpoint
        self.advice = advice
        self._before = {}
        self._received = None

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, kind, error, trace):
        self._stop_listening()
        # It came after the last step was saved.
        if self._received and kind is None:
            self._end(self._received, "after the last epoch")

    def on_train_batch_end(self, batch, logs=None):
        received = self._agree()
        if not received:
            return
        epoch, knows_steps = self.checkpoint.epoch, self.checkpoint.saves_within_epochs
        if self.checkpoint.save_within_epoch(batch + 1):
            self._end_all(received, f"after {batch + 1} steps of epoch {epoch}")
        elif not knows_steps:
            self._end_all(received, f"in epoch {epoch}")

    def on_epoch_end(self, epoch, logs=None):
        received = self._agree()
        if received:
            self._end_all(received, f"after epoch {epoch}")

    def _agree(self):
        """Returns the signal that any process has heard: one that ended alone would hold others."""
        return int(gather_numbers([self._received or 0]).max())

    def _hear(self, number, frame):
        self._stop_listening()
        self._received = number
        text = "the step is finished and the state saved. A second signal ends the run at once."
        if process()[0] == 0:
            sys.stderr.write(f"\n{_SIGNALS[number]}: {text}\n")

    def _stop_listening(self):
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _end_all(self, received, where):
        # Whoever ended first would have the process killed that still writes.
        gather_numbers([0])
        self._end(received, where)

    def _end(self, received, where):
        message = (
            f"{_SIGNALS[received]}: training ended {where}. The newest state is in "
            f"{self.checkpoint.path}. {self.advice}"
        )
        if process()[0] == 0:
            sys.stderr.write(f"\n{message}\n")
        raise Interrupted(received, message)
