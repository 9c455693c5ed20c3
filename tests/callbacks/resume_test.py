"""A run that ended anywhere, and went on, equals one that did not end."""

import functools
import os
import signal
import threading

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.callbacks import Checkpoint
from rocmr_keras.callbacks import EpsilonWarmup
from rocmr_keras.callbacks import Interrupted
from rocmr_keras.callbacks import Interruption
from rocmr_keras.data import Preprocessor
from rocmr_keras.data import RandomShift
from rocmr_keras.data import Split
from rocmr_keras.data import batches
from rocmr_keras.data import pack
from rocmr_keras.models import DualEncoder
from rocmr_keras.models import TextEncoder
from rocmr_keras.trainers import RoCMR

WORDS = ["red", "green", "blue", "apple"]
EPOCHS, STEPS = 3, 4


def make_pack(count, folder=None):
    """Packs so many images of noise with two captions each."""
    preprocessor = Preprocessor(["[PAD]", "[UNK]", "[START]", "[END]", *WORDS], 6, (8, 8))
    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype="uint8")
    captions = [f"{WORDS[index % 3]} apple" for index in range(2 * count)]
    ids = [index // 2 for index in range(2 * count)]
    return pack(Split(pixels, range(count), captions, ids), preprocessor, folder)


def make_data(packed, seed=0):
    shift = RandomShift(0.2, mirror=True)
    return batches(packed, batch_size=4, augment=shift, seed=seed)


def make_trainer(steps, num_layers=0, **text_options):
    """Makes a compiled trainer with all that a resumed one must take up again.

    Dropout without a seed of its own, batch statistics, averages of weights, and a schedule of
    the rate that is over after `steps`.
    """
    keras.utils.set_random_seed(0)
    image_encoder = keras.Sequential(
        [
            keras.layers.Input((8, 8, 3)),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(8),
            keras.layers.BatchNormalization(),
        ]
    )
    text_encoder = TextEncoder(20, 6, 8, num_layers, projection_dim=8, **text_options)
    options = {"num_steps": 1, "keep_best": False}
    trainer = RoCMR(
        DualEncoder(image_encoder, text_encoder),
        image_attack=PGD(0.1, seed=1, **options),
        text_attack=EmbeddingPGD(0.3, seed=2, **options),
    )
    rate = keras.optimizers.schedules.CosineDecay(0.02, steps)
    # JAX: averages that Keras 3.15 shares with weights are deleted by a validation.
    averages = keras.config.backend() != "jax"
    trainer.compile(keras.optimizers.AdamW(rate, use_ema=averages, ema_momentum=0.9))
    return trainer


@pytest.fixture(scope="module")
def packed():
    return make_pack(16)


@pytest.fixture(scope="module")
def make_run():
    return functools.partial(make_trainer, EPOCHS * STEPS)


def fit(trainer, data, packed, callbacks, epoch=0):
    return trainer.fit(
        data,
        validation_data=make_data(packed, seed=1),
        initial_epoch=epoch,
        epochs=EPOCHS,
        callbacks=[EpsilonWarmup(6), *callbacks],
        verbose=0,
    )


def state_of(trainer):
    variables = [*trainer.variables, *trainer.optimizer.variables]
    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]


@pytest.fixture(scope="module")
def straight(make_run, packed, tmp_path_factory):
    """The run that nobody interrupts."""
    trainer = make_run()
    checkpoint = Checkpoint(tmp_path_factory.mktemp("straight") / "state.npz")
    fit(trainer, make_data(packed), packed, [checkpoint])
    return {"state": state_of(trainer), "history": checkpoint.history}


class Killed(Exception):
    pass


class KillAt(keras.callbacks.Callback):
    """Ends training without a word in one step, counted over epochs."""

    def __init__(self, step):
        super().__init__()
        self.left = step

    def on_train_batch_end(self, batch, logs=None):
        if self.left == 0:
            raise Killed
        self.left -= 1


class SendAt(KillAt):
    """Sends a signal in one step."""

    def __init__(self, step, number):
        super().__init__(step)
        self.number = number

    def on_train_batch_end(self, batch, logs=None):
        if self.left == 0:
            os.kill(os.getpid(), self.number)
        self.left -= 1


def go_on(make_run, packed, path):
    """Resumes in a new trainer; returns it, its checkpoint and where it began."""
    trainer, data, checkpoint = make_run(), make_data(packed), Checkpoint(path)
    # A run of its own has drawn other numbers by now.
    keras.random.dropout(ops.ones((4, 4)), 0.5, seed=keras.random.SeedGenerator())
    place = checkpoint.restore(trainer, data), data.step
    fit(trainer, data, packed, [checkpoint], epoch=place[0])
    assert (data.epoch, data.step) == (EPOCHS, 0)
    return trainer, checkpoint, place


def assert_equals(trainer, checkpoint, straight):
    for one, two in zip(state_of(trainer), straight["state"], strict=True):
        np.testing.assert_array_equal(one, two)
    assert checkpoint.history == straight["history"]


def test_killed_within_an_epoch(make_run, packed, straight, tmp_path):
    trainer, path = make_run(), tmp_path / "state.npz"
    checkpoint = Checkpoint(path, every_steps=3)
    with pytest.raises(Killed):
        fit(trainer, make_data(packed), packed, [checkpoint, KillAt(STEPS + 3)])
    trainer, checkpoint, place = go_on(make_run, packed, path)
    assert place == (1, 3)
    assert_equals(trainer, checkpoint, straight)


@pytest.mark.parametrize(
    "number, step, expected",
    [(signal.SIGTERM, 1, (0, 2)), (signal.SIGINT, STEPS - 1, (1, 0))],
)
def test_signals_finish_the_step_and_save(
    number, step, expected, make_run, packed, straight, tmp_path, capfd
):
    trainer, path = make_run(), tmp_path / "state.npz"
    checkpoint, before = Checkpoint(path), signal.getsignal(number)
    with pytest.raises(Interrupted, match=f"state is in .*{path.name}. Say on.") as caught:
        with Interruption(checkpoint, "Say on.") as interruption:
            callbacks = [checkpoint, SendAt(step, number), interruption]
            fit(trainer, make_data(packed), packed, callbacks)
    assert caught.value.code == 128 + number
    assert signal.getsignal(number) is before
    assert "Say on." in capfd.readouterr().err
    trainer, checkpoint, place = go_on(make_run, packed, path)
    assert place == expected
    assert_equals(trainer, checkpoint, straight)


def test_a_signal_after_the_last_step(tmp_path):
    with pytest.raises(Interrupted) as caught:
        with Interruption(Checkpoint(tmp_path / "state.npz")):
            os.kill(os.getpid(), signal.SIGTERM)
    assert caught.value.code == 143


def test_threads_hear_no_signals(tmp_path):
    failed = []

    def enter():
        try:
            with Interruption(Checkpoint(tmp_path / "state.npz")):
                pass
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert not failed


def test_what_a_state_within_an_epoch_needs(make_run, packed, tmp_path):
    trainer, path = make_run(), tmp_path / "state.npz"
    with pytest.raises(Killed):
        callbacks = [Checkpoint(path, every_minutes=1e-9), KillAt(1)]
        fit(trainer, make_data(packed), packed, callbacks)
    with pytest.raises(ValueError, match="after step 2 of 4, and needs data .* no data. Pass"):
        Checkpoint(path).restore(trainer)
    other = batches(packed, batch_size=8)
    with pytest.raises(ValueError, match="Batches of 2 steps. Pass the same"):
        Checkpoint(path).restore(trainer, other)
