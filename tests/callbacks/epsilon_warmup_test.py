import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.callbacks import EpsilonWarmup


class Recorder(keras.callbacks.Callback):
    """Notes the budget that each step runs under; comes after the callback it watches."""

    def __init__(self):
        super().__init__()
        self.train = []
        self.test = []

    def _scales(self):
        attacks = (self.model.image_attack, self.model.text_attack)
        return tuple(float(ops.convert_to_numpy(attack.epsilon_scale)) for attack in attacks)

    def on_train_batch_begin(self, batch, logs=None):
        self.train.append(self._scales())

    def on_test_begin(self, logs=None):
        self.test.append(self._scales())


@pytest.fixture(scope="module")
def warmed(make_trainer, make_data):
    """Two epochs of two steps under a warm-up of eight, with validation."""
    trainer = make_trainer()
    recorder = Recorder()
    data = make_data()
    callbacks = [EpsilonWarmup(8), recorder]
    trainer.fit(data, batch_size=4, epochs=2, validation_data=data, callbacks=callbacks, verbose=0)
    return trainer, recorder


def test_the_budget_rises_step_by_step(warmed):
    assert warmed[1].train == [(scale, scale) for scale in (0.0, 0.125, 0.25, 0.375)]


def test_validation_runs_at_the_full_budget(warmed):
    assert warmed[1].test == [(1.0, 1.0)] * 2


def test_after_training_the_budget_is_full(warmed):
    for attack in (warmed[0].image_attack, warmed[0].text_attack):
        assert float(ops.convert_to_numpy(attack.epsilon_scale)) == 1.0


def test_the_compiled_step_reads_the_budget(warmed, make_data):
    trainer, _ = warmed
    data = {name: value[:4] for name, value in make_data().items()}
    for scale, moves in ((0.0, False), (1.0, True)):
        trainer.image_attack.epsilon_scale.assign(scale)
        trainer.text_attack.epsilon_scale.assign(scale)
        views = trainer.predict_on_batch(data)
        moved = np.abs(views["image_embeddings"] - views["adversarial_image_embeddings"]).max()
        assert (moved > 1e-3) == moves


def test_a_resumed_run_goes_on_with_the_schedule(warmed, make_data):
    trainer, recorder = warmed
    recorder.train.clear()
    callbacks = [EpsilonWarmup(5), recorder]
    trainer.fit(make_data(), batch_size=4, callbacks=callbacks, verbose=0)
    np.testing.assert_allclose(recorder.train, [(0.8, 0.8), (1.0, 1.0)], rtol=1e-6)


def test_the_schedule_counts_steps_that_run_together(make_trainer):
    callback = EpsilonWarmup(8)
    callback.set_model(make_trainer())
    scale = callback.model.image_attack.epsilon_scale
    scales = []
    callback.on_train_begin()
    for epoch in range(2):
        callback.on_epoch_begin(epoch)
        for begin in (0, 2):
            callback.on_train_batch_begin(begin)
            scales.append(float(ops.convert_to_numpy(scale)))
            callback.on_train_batch_end(begin + 1)
    assert scales == [0.0, 0.25, 0.5, 0.75]


def test_an_update_of_accumulated_gradients_is_several_steps(make_trainer):
    trainer = make_trainer()
    optimizer = keras.optimizers.Adam(gradient_accumulation_steps=2)
    optimizer.build(trainer.trainable_variables)
    # The count of steps, of which `iterations` shows the updates.
    optimizer.variables[0].assign(6)
    trainer.compile(optimizer)
    callback = EpsilonWarmup(8)
    callback.set_model(trainer)
    callback.on_train_begin()
    assert float(ops.convert_to_numpy(trainer.image_attack.epsilon_scale)) == 0.75


def test_warmup_errors(make_trainer):
    with pytest.raises(ValueError, match="`num_steps` must be at least 1. Received: num_steps=0"):
        EpsilonWarmup(0)
    callback = EpsilonWarmup(3)
    callback.set_model(make_trainer(image_attack=None, text_attack=None, terms="standard"))
    with pytest.raises(ValueError, match="needs a model with `image_attack`.*Received: RoCMR"):
        callback.on_train_begin()
