r"""Flips single bits in the newest state of a run, one at a time, and restores each.

    KERAS_BACKEND=torch python tests/callbacks/flips.py 1000

Half of the bits are drawn from the whole file, half from its last 9,000 bytes, where the names
are that no checksum covers. Every restore must end in the newest state, or say that it is
damaged and end in the one before. Prints how many did what; ends with status 1 otherwise.
"""

import collections
import os
import pathlib
import sys
import tempfile
import warnings

import keras
import numpy as np
import resume_test

import rocmr_keras as rk

NAMES = 9000


class States(keras.callbacks.Callback):
    """Keeps what the trainer was at the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.found = []

    def on_epoch_end(self, epoch, logs=None):
        self.found.append(resume_test.state_of(self.model))


def train(path):
    """Leaves two states behind, the second one newest; returns them."""
    trainer = resume_test.make_trainer(8, num_layers=1, num_heads=2)
    data, states = resume_test.make_data(resume_test.make_pack(16)), States()
    callbacks = [rk.callbacks.Checkpoint(path), states]
    trainer.fit(data, epochs=2, callbacks=callbacks, verbose=0)
    return states.found


def same(trainer, state):
    pairs = zip(resume_test.state_of(trainer), state, strict=True)
    return all(np.array_equal(one, two) for one, two in pairs)


def restore(path, trainer, states):
    """Restores once; returns in a few words what came of it."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        epoch = rk.callbacks.Checkpoint(path).restore(trainer)
    if epoch not in (1, 2) or not same(trainer, states[epoch - 1]):
        return "ANOTHER STATE"
    told = any("damaged checkpoint" in str(each.message) for each in said)
    if epoch == 2:
        return "the newest state, damage said" if told else "the newest state"
    return "the one before, said so" if told else "THE ONE BEFORE, IN SILENCE"


def main(flips):
    draw, results = np.random.default_rng(0), collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "state.npz")
        states = train(path)
        other = resume_test.make_trainer(8, num_layers=1, num_heads=2)
        other.optimizer.build(other.trainable_variables)
        whole = path.read_bytes()
        for flip in range(flips):
            first = 0 if flip % 2 else max(0, len(whole) - NAMES)
            content = bytearray(whole)
            content[draw.integers(first, len(whole))] ^= 1 << draw.integers(8)
            path.write_bytes(content)
            results[restore(path, other, states)] += 1
    told = ", ".join(f"{count} {result}" for result, count in results.most_common())
    print(f"{os.environ.get('KERAS_BACKEND')}: {flips} bits of {len(whole):,} bytes: {told}")
    sys.exit(int(any(result.isupper() for result in results)))


if __name__ == "__main__":
    main(int(sys.argv[1]))
