import pathlib
import shutil

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.callbacks import Checkpoint
from rocmr_keras.callbacks import write_history


def state_of(trainer):
    trainer.optimizer.build(trainer.trainable_variables)
    variables = [*trainer.variables, *trainer.optimizer.variables]
    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]


def assert_same(first, second):
    for old, new in zip(first, second, strict=True):
        np.testing.assert_array_equal(old, new)


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
def straight(tmp_path_factory, make_trainer, make_data):
    """Four epochs in one go, saved after each."""
    folder = tmp_path_factory.mktemp("straight")
    trainer = make_trainer()
    checkpoint = Checkpoint(folder / "runs" / "state.npz")
    copier = Copier(checkpoint, folder)
    logger = keras.callbacks.CSVLogger(folder / "history.csv")
    callbacks = [checkpoint, copier, logger]
    history = trainer.fit(
        make_data(), batch_size=4, epochs=4, shuffle=False, callbacks=callbacks, verbose=0
    )
    return {"folder": folder, "losses": history.history["loss"], "states": copier.states}


@pytest.fixture(scope="module")
def resumed(straight, make_trainer, make_data):
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
    for place in range(0, len(content), 40):
        content[place] ^= 1
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
def other(make_trainer):
    return make_trainer(seed=7)


@pytest.mark.parametrize("damage", [flip, truncate, empty])
def test_a_damaged_file_gives_way_to_the_one_before(damage, saved, straight, other):
    damage(saved)
    with pytest.warns(UserWarning, match="passed over: .*state.npz: .*is used: .*npz.previous"):
        assert Checkpoint(saved).restore(other) == 3
    assert_same(state_of(other), straight["states"][2])


@pytest.mark.filterwarnings("ignore:A damaged checkpoint")
def test_every_flipped_bit_is_noticed(straight, saved, other):
    """Wherever the flip falls, the state is the one that was saved, or the one before."""
    whole, draw = saved.read_bytes(), np.random.default_rng(0)
    # Most names, which no checksum covers, are at the end.
    places = [*draw.integers(0, len(whole), 20), *draw.integers(len(whole) - 9000, len(whole), 60)]
    for place in places:
        content = bytearray(whole)
        content[place] ^= 1 << draw.integers(8)
        saved.write_bytes(content)
        epoch = Checkpoint(saved).restore(other)
        assert epoch in (3, 4)
        assert_same(state_of(other), straight["states"][epoch - 1])


def test_a_name_that_is_damaged_is_damage(saved, other):
    content = saved.read_bytes()
    assert content.count(b"variable_1.npy") == 2
    saved.write_bytes(content.replace(b"variable_1.npy", b"wariable_1.npy"))
    with pytest.warns(UserWarning, match="an array is missing, or its name is damaged"):
        assert Checkpoint(saved).restore(other) == 3


def test_a_state_of_an_older_version(saved, other):
    with np.load(saved) as file:
        old = {name: file[name] for name in file.files if name.startswith(("variable", "epoch"))}
    np.savez(saved, **old)
    assert Checkpoint(saved).restore(other) == 4


def test_what_is_not_finite_replaces_nothing(saved, make_trainer):
    trainer, before = make_trainer(), saved.read_bytes()
    weight = trainer.trainable_variables[0]
    weight.assign(np.full(weight.shape, np.nan))
    checkpoint = Checkpoint(saved)
    checkpoint.set_model(trainer)
    with pytest.raises(FloatingPointError, match="must be finite. Received: .*in .*kernel"):
        checkpoint.on_epoch_end(0, {})
    assert saved.read_bytes() == before


def test_a_lost_row_of_the_history(straight, saved, other, tmp_path):
    path = tmp_path / "history.csv"
    text = (straight["folder"] / "history.csv").read_text()
    path.write_text("".join(text.splitlines(keepends=True)[:-1]))
    checkpoint = Checkpoint(saved)
    checkpoint.restore(other)
    write_history(path, checkpoint.history)
    assert path.read_text() == text and len(checkpoint.history) == 4
    checkpoint.history = []
    write_history(path, [])
    assert path.read_text() == text


@pytest.mark.parametrize("options", [{"every_steps": 0}, {"every_minutes": -1.0}])
def test_how_often(options, tmp_path):
    with pytest.raises(ValueError, match="must be positive. Received: every_"):
        Checkpoint(tmp_path / "state.npz", **options)


def test_plain_arrays_cannot_begin_within_an_epoch(make_trainer, make_data, tmp_path):
    checkpoint = Checkpoint(tmp_path / "state.npz", every_steps=1)
    with pytest.raises(ValueError, match="needs data that can begin there: .*every_steps=1"):
        make_trainer().fit(make_data(), batch_size=4, callbacks=[checkpoint], verbose=0)


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
def test_another_model_is_refused(options, saved, make_trainer):
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
