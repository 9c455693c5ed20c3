"""Training on `rocmr_keras.data.batches`: no waiting, no warning, resumed where it was."""

import time

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.callbacks import Checkpoint
from rocmr_keras.data import Preprocessor
from rocmr_keras.data import RandomShift
from rocmr_keras.data import Split
from rocmr_keras.data import batches
from rocmr_keras.data import pack

WORDS = ["red", "green", "blue", "apple"]


@pytest.fixture(scope="module")
def packed():
    preprocessor = Preprocessor(["[PAD]", "[UNK]", "[START]", "[END]", *WORDS], 6, (8, 8))
    pixels = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3), dtype="uint8")
    captions = [f"{WORDS[index % 3]} apple" for index in range(32)]
    split = Split(pixels, range(16), captions, [index // 2 for index in range(32)])
    return pack(split, preprocessor)


@pytest.fixture
def make_data(packed):
    return lambda batch_size=4, **options: batches(
        packed, batch_size=batch_size, augment=RandomShift(0.2), **options
    )


@pytest.fixture
def make_compiled(make_trainer):
    def make_compiled(terms="standard", **options):
        keras.utils.set_random_seed(0)
        trainer = make_trainer(terms, **options)
        trainer.compile(keras.optimizers.AdamW(0.01))
        return trainer

    return make_compiled


class Clock(keras.callbacks.Callback):
    """Steps of 0.05 s; notes how long the first one of each epoch lets wait."""

    def __init__(self):
        super().__init__()
        self.waited = []

    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        if batch == 0:
            self.waited.append(time.perf_counter() - self.began)
        time.sleep(0.05)


def test_no_waiting_between_epochs(make_compiled, make_data):
    clock = Clock()
    data = make_data(2)
    trainer = make_compiled()
    trainer.fit(data, validation_data=make_data(2), epochs=3, verbose=0, callbacks=[clock])
    assert int(ops.convert_to_numpy(trainer.optimizer.iterations)) == 24
    assert len(clock.waited) == 3 and max(clock.waited[1:]) < 0.3


def test_the_epochs_are_counted(make_compiled, make_data):
    data, trainer = make_data(), make_compiled()
    trainer.fit(data, epochs=2, verbose=0)
    assert data.epoch == 2
    stop = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: setattr(trainer, "stop_training", True)
    )
    trainer.fit(data, epochs=9, verbose=0, callbacks=[stop])
    assert data.epoch == 3
    trainer.fit(data, epochs=9, initial_epoch=8, verbose=0)
    assert data.epoch == 9
    trainer.fit(data, epochs=1, steps_per_epoch=2, verbose=0)
    assert data.epoch == 9


class Recorder(keras.callbacks.Callback):
    """Notes the loss of every step."""

    def __init__(self):
        super().__init__()
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(float(logs["loss"]))


def test_a_run_in_two_parts_equals_one(make_compiled, make_data, tmp_path):
    straight, recorder = make_compiled("rocmr"), Recorder()
    straight.fit(make_data(), epochs=3, verbose=0, callbacks=[recorder])
    checkpoint = Checkpoint(tmp_path / "state.npz")
    part, first = make_compiled("rocmr"), Recorder()
    part.fit(make_data(), epochs=1, verbose=0, callbacks=[checkpoint, first])
    resumed, second = make_compiled("rocmr"), Recorder()
    epoch = checkpoint.restore(resumed)
    resumed.fit(make_data(), initial_epoch=epoch, epochs=3, verbose=0, callbacks=[second])
    assert recorder.losses == first.losses + second.losses
    for one, two in zip(straight.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(two))


def test_the_epoch_of_the_batches_is_where_fit_begins(make_compiled, make_data):
    recorders = [Recorder(), Recorder()]
    for recorder, epoch, fit in (
        (recorders[0], 2, {"epochs": 1}),
        (recorders[1], 0, {"epochs": 3, "initial_epoch": 2}),
    ):
        data = make_data()
        data.epoch = epoch
        make_compiled().fit(data, verbose=0, callbacks=[recorder], **fit)
    assert recorders[0].losses == recorders[1].losses


def test_evaluation_sees_the_same_epoch_each_time(make_compiled, make_data):
    trainer, data = make_compiled(image_attack=None, text_attack=None), make_data()
    first, second = (trainer.evaluate(data, verbose=0, return_dict=True) for _ in range(2))
    assert first == second and data.epoch == 0
    history = trainer.fit(
        make_data(),
        validation_data=data,
        epochs=2,
        verbose=0,
        callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: 0.0)],
    ).history
    assert history["val_loss"] == pytest.approx([first["loss"]] * 2, rel=1e-6)
    assert trainer.predict(data, verbose=0)["image_embeddings"].shape == (16, 8)


@pytest.mark.parametrize("gives_steps", [False, True])
def test_a_plain_fit_sees_the_same_batches(gives_steps, make_compiled, make_data):
    recorders = [Recorder(), Recorder()]
    make_compiled().fit(make_data(), epochs=2, verbose=0, callbacks=[recorders[0]])
    data = make_data()
    plain = {"shuffle": False, "epochs": 2, "verbose": 0}
    if gives_steps:
        plain["steps_per_epoch"] = len(data)
    keras.Model.fit(make_compiled(), data, callbacks=[recorders[1]], **plain)
    assert recorders[0].losses == pytest.approx(recorders[1].losses, rel=1e-6)
    assert data.epoch == 2


def test_other_data_is_left_to_keras(make_compiled, make_batch):
    trainer = make_compiled()
    trainer.fit(make_batch(8), batch_size=4, epochs=1, verbose=0)
    assert int(ops.convert_to_numpy(trainer.optimizer.iterations)) == 2
    assert trainer.fit.__doc__ == keras.Model.fit.__doc__
