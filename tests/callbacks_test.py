import pathlib
import shutil

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.callbacks import Checkpoint
from rocmr_keras.callbacks import EpsilonWarmup
from rocmr_keras.models import DualEncoder
from rocmr_keras.models import TextEncoder
from rocmr_keras.trainers import RoCMR


def make_trainer(seed=0, width=8, dropout=0.2, **options):
    keras.utils.set_random_seed(seed)
    image_encoder = keras.Sequential(
        [
            keras.layers.Input((4, 4, 3)),
            keras.layers.Flatten(),
            keras.layers.Dropout(dropout, seed=seed),
            keras.layers.Dense(width),
        ]
    )
    text_encoder = TextEncoder(20, 6, 8, 0, projection_dim=width)
    attacks = {
        "image_attack": PGD(0.1, num_steps=1, keep_best=False, seed=seed + 1),
        "text_attack": EmbeddingPGD(0.3, num_steps=1, keep_best=False, seed=seed + 2),
    }
    trainer = RoCMR(DualEncoder(image_encoder, text_encoder), **{**attacks, **options})
    trainer.compile(keras.optimizers.AdamW(0.01))
    return trainer


def make_data(size=8):
    random = np.random.RandomState(0)
    token_ids = random.randint(4, 20, size=(size, 6)).astype("int32")
    return {
        "images": random.uniform(size=(size, 4, 4, 3)).astype("float32"),
        "token_ids": token_ids,
        "padding_mask": token_ids != 0,
    }


def state_of(trainer):
    trainer.optimizer.build(trainer.trainable_variables)
    variables = [*trainer.variables, *trainer.optimizer.variables]
    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]


def assert_same(first, second):
    for old, new in zip(first, second, strict=True):
        np.testing.assert_array_equal(old, new)


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
def warmed():
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


def test_the_compiled_step_reads_the_budget(warmed):
    trainer, _ = warmed
    data = {name: value[:4] for name, value in make_data().items()}
    for scale, moves in ((0.0, False), (1.0, True)):
        trainer.image_attack.epsilon_scale.assign(scale)
        trainer.text_attack.epsilon_scale.assign(scale)
        views = trainer.predict_on_batch(data)
        moved = np.abs(views["image_embeddings"] - views["adversarial_image_embeddings"]).max()
        assert (moved > 1e-3) == moves


def test_a_resumed_run_goes_on_with_the_schedule(warmed):
    trainer, recorder = warmed
    recorder.train.clear()
    callbacks = [EpsilonWarmup(5), recorder]
    trainer.fit(make_data(), batch_size=4, callbacks=callbacks, verbose=0)
    np.testing.assert_allclose(recorder.train, [(0.8, 0.8), (1.0, 1.0)], rtol=1e-6)


def test_the_schedule_counts_steps_that_run_together():
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


def test_an_update_of_accumulated_gradients_is_several_steps():
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


def test_warmup_errors():
    with pytest.raises(ValueError, match="`num_steps` must be at least 1. Received: num_steps=0"):
        EpsilonWarmup(0)
    callback = EpsilonWarmup(3)
    callback.set_model(make_trainer(image_attack=None, text_attack=None, terms="standard"))
    with pytest.raises(ValueError, match="needs a model with `image_attack`.*Received: RoCMR"):
        callback.on_train_begin()


class Copier(keras.callbacks.Callback):
    """Copies the checkpoint and the state of every epoch; comes after `Checkpoint`."""

    def __init__(self, checkpoint, folder):
        super().__init__()
        self.checkpoint = checkpoint
        self.folder = folder
        self.states = []

    def on_epoch_end(self, epoch, logs=None):
        shutil.copy(self.checkpoint.path, self.folder / f"epoch_{epoch}.npz")
        self.states.append(state_of(self.model))


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Four epochs in one go, saved after each."""
    folder = tmp_path_factory.mktemp("straight")
    trainer = make_trainer()
    checkpoint = Checkpoint(folder / "runs" / "state.npz")
    copier = Copier(checkpoint, folder)
    callbacks = [checkpoint, copier]
    history = trainer.fit(
        make_data(), batch_size=4, epochs=4, shuffle=False, callbacks=callbacks, verbose=0
    )
    return {"folder": folder, "losses": history.history["loss"], "states": copier.states}


@pytest.fixture(scope="module")
def resumed(straight):
    """Another trainer: one epoch from the start, then from the second epoch of `straight`."""
    trainer = make_trainer()
    options = {"batch_size": 4, "shuffle": False, "verbose": 0}
    first = trainer.fit(make_data(), epochs=1, **options).history["loss"]
    epoch = Checkpoint(straight["folder"] / "epoch_1.npz").restore(trainer)
    state = state_of(trainer)
    later = trainer.fit(make_data(), initial_epoch=epoch, epochs=4, **options).history["loss"]
    return {"epoch": epoch, "state": state, "first": first, "later": later}


def test_the_same_seed_trains_the_same(straight, resumed):
    np.testing.assert_allclose(resumed["first"], straight["losses"][:1], rtol=1e-6)


def test_restore_gives_every_variable_back_bit_by_bit(straight, resumed):
    assert resumed["epoch"] == 2
    assert_same(resumed["state"], straight["states"][1])


def test_a_resumed_run_equals_one_that_was_never_interrupted(straight, resumed):
    np.testing.assert_allclose(resumed["later"], straight["losses"][2:], rtol=1e-5)


def test_restore_into_a_trainer_that_never_ran(straight, other):
    assert Checkpoint(straight["folder"] / "runs" / "state.npz").restore(other) == 4
    assert_same(state_of(other), straight["states"][3])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def empty(path):
    path.write_bytes(b"")


@pytest.fixture
def saved(straight, tmp_path):
    """The newest two states of the run."""
    for source, name in (("epoch_3", "state.npz"), ("epoch_2", "state.npz.previous")):
        shutil.copy(straight["folder"] / f"{source}.npz", tmp_path / name)
    return tmp_path / "state.npz"


@pytest.fixture(scope="module")
def other():
    return make_trainer(seed=7)


@pytest.mark.parametrize("damage", [flip, truncate, empty])
def test_a_damaged_file_gives_way_to_the_one_before(damage, saved, straight, other):
    damage(saved)
    assert Checkpoint(saved).restore(other) == 3
    assert_same(state_of(other), straight["states"][2])


def test_every_flipped_byte_of_a_value_is_noticed(tmp_path, other):
    """Wherever the flip falls, the state is refused or is the one that was saved."""
    checkpoint = Checkpoint(tmp_path / "state.npz")
    checkpoint.set_model(other)
    checkpoint.on_epoch_end(0)
    before = state_of(other)
    whole = pathlib.Path(checkpoint.path).read_bytes()
    for place in np.linspace(0, len(whole) - 1, 40).astype(int):
        content = bytearray(whole)
        content[place] ^= 4
        pathlib.Path(checkpoint.path).write_bytes(content)
        try:
            assert checkpoint.restore(other) == 1
        except ValueError:
            pass
        assert_same(before, state_of(other))


def test_killed_between_the_two_renames(saved, other):
    saved.unlink()
    assert Checkpoint(saved).restore(other) == 3


def test_both_damaged(saved, other):
    truncate(saved)
    flip(pathlib.Path(f"{saved}.previous"))
    before = state_of(other)
    with pytest.raises(ValueError, match="must be whole. Received: .*state.npz: .*previous: "):
        Checkpoint(saved).restore(other)
    assert_same(before, state_of(other))


@pytest.mark.parametrize(
    "options", [{"width": 4}, {"text_attack": None, "terms": "rocmr_image_only"}]
)
def test_another_model_is_refused(options, saved):
    trainer = make_trainer(**options)
    before = state_of(trainer)
    with pytest.raises(ValueError, match="must come from the same model, attacks and"):
        Checkpoint(saved).restore(trainer)
    assert_same(before, state_of(trainer))


def test_no_file(tmp_path, other):
    assert Checkpoint(tmp_path / "none.npz").restore(other) == 0


def test_the_folder_holds_two_states_and_nothing_half_written(straight):
    names = sorted(path.name for path in (straight["folder"] / "runs").iterdir())
    assert names == ["state.npz", "state.npz.previous"]
    epochs = []
    for name in names:
        with np.load(straight["folder"] / "runs" / name) as file:
            epochs.append(int(file["epoch"]))
    assert epochs == [4, 3]
