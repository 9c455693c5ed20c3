"""The folder of a run: what is refused before anything is computed, and what is said."""

import errno
import pathlib
import resource
import subprocess
import sys

import keras
import numpy as np
import pytest
from absl import flags

import rocmr_keras as rk
from rocmr_keras.callbacks import Checkpoint
from rocmr_keras.files import lock_folder

RECIPES = pathlib.Path(__file__).parents[1] / "recipes"


@pytest.fixture(scope="module")
def recipes():
    """The modules of the training recipes, whose flags can be defined once only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPES))
        import run_folder
        import run_report
        import train  # noqa: F401

        yield run_folder, run_report


@pytest.fixture
def claim(recipes, tmp_path):
    """Claims a folder as `train.py` does with these flags; gives it free afterwards."""

    def claim(*given):
        flags.FLAGS.unparse_flags()
        for name in flags.FLAGS:
            flags.FLAGS[name].unparse()
        flags.FLAGS(["train.py", f"--output={tmp_path / 'run'}", *given])
        try:
            recipes[0].claim()
        finally:
            free()

    def free():
        while recipes[0]._held:
            recipes[0]._held.pop().close()

    yield claim
    free()


def write(folder, *names):
    for name in names:
        (folder / "run" / name).write_text("former")


def test_a_run_goes_on_with_the_flags_it_began_with(claim, tmp_path):
    claim("--epochs=3", "--seed=1", "--mirror")
    path = tmp_path / "run" / "flags.txt"
    before = path.read_text()
    write(tmp_path, "state.npz")
    for changed in ("--epochs=2", "--batch_size=8", "--nomirror", "--terms=clean=1"):
        given = {"--epochs": "3", "--seed": "1", "--mirror": None}
        other = [f"{name}={value}" if value else name for name, value in given.items()]
        with pytest.raises(ValueError, match=f"may grow. Received: [^;]* is now {changed}[.]"):
            claim("--resume", *other, changed)
        assert path.read_text() == before
    claim("--resume", "--seed=1", "--mirror", "--epochs=9", "--eval_steps=1", "--save_every=5min")
    assert "--epochs=9" in path.read_text()


def test_a_run_is_not_overwritten_unless_asked_for(claim, tmp_path):
    claim()
    write(tmp_path, "state.npz", "model.keras")
    with pytest.raises(ValueError, match="must not hold a run. .*state.npz, model.keras. Go on"):
        claim()
    assert (tmp_path / "run" / "state.npz").read_text() == "former"
    claim("--overwrite")
    assert not (tmp_path / "run" / "state.npz").exists()
    assert (tmp_path / "run" / "model.keras").read_text() == "former"


@pytest.mark.parametrize("value", ["often", "0", "10 min", "-3"])
def test_save_every_is_checked(value, claim):
    with pytest.raises(flags.IllegalFlagValueError, match="steps as 200, or minutes as 10min"):
        claim(f"--save_every={value}")


@pytest.mark.parametrize("value", ["", "8/255,x", "1/0"])
def test_budgets_are_checked_before_anything_is_done(value, claim):
    with pytest.raises(flags.IllegalFlagValueError, match="8/255"):
        claim(f"--eval_epsilons={value}")


def test_a_model_comes_out_of_a_trainer(recipes, small_model, tmp_path):
    trainer = rk.RoCMR(small_model, terms="standard")
    for thing in (small_model, trainer):
        thing.save(tmp_path / "saved.keras")
        model = recipes[1].load_model(tmp_path / "saved.keras")
        assert type(model) is rk.models.DualEncoder
        assert model.preprocessor.get_config() == small_model.preprocessor.get_config()


def test_save_every_in_steps_and_minutes(claim, recipes):
    for value, expected in (("200", (200, None)), ("10min", (None, 10))):
        claim(f"--save_every={value}")
        checkpoint = recipes[0].make_checkpoint()
        assert (checkpoint.every_steps, checkpoint.every_minutes) == expected


HOLD = """
import sys
sys.path.insert(0, sys.argv[1])
import importlib.util
spec = importlib.util.spec_from_file_location("files", sys.argv[2])
files = importlib.util.module_from_spec(spec)
spec.loader.exec_module(files)
held = files.lock_folder(sys.argv[3])
print("held", flush=True)
sys.stdin.read()
"""


def test_a_folder_takes_one_run_and_a_kill_leaves_no_lock(tmp_path):
    files = RECIPES.parent / "rocmr_keras" / "files.py"
    command = [sys.executable, "-c", HOLD, str(RECIPES), str(files), str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        (tmp_path / ".state.7.writing.npz").write_text("half")
        with pytest.raises(ValueError, match="one run at a time. Received: .*another process"):
            lock_folder(tmp_path)
        process.kill()
        process.wait()
    lock_folder(tmp_path).close()
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.fixture
def small_files():
    """Files may have 8 kB, as on a disk that is nearly full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def large():
    model = keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(64)])
    model.compile(keras.optimizers.SGD(0.1))
    return model


def test_a_full_disk_is_said(recipes, claim, large, small_files, tmp_path):
    claim()
    checkpoint = Checkpoint(tmp_path / "run" / "state.npz")
    checkpoint.set_model(large)
    write(tmp_path, "state.npz", "model.keras")
    for save in (
        lambda: checkpoint.on_epoch_end(0, {}),
        lambda: recipes[1].save_model(large, tmp_path / "run" / "model.keras"),
    ):
        with pytest.raises(SystemExit, match="no room to write into .*run: .*Make room, and go"):
            with recipes[0].full_disk_is_said():
                save()
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {".lock", "flags.txt", "state.npz", "model.keras"}
    assert (tmp_path / "run" / "state.npz").read_text() == "former"


def test_other_errors_of_files_are_not_taken_for_a_full_disk(recipes):
    with pytest.raises(PermissionError):
        with recipes[0].full_disk_is_said():
            raise PermissionError(errno.EACCES, "not allowed")


def test_a_model_that_is_not_finite_is_not_saved(recipes, claim, tmp_path):
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(2)])
    model.set_weights([np.full((2, 2), np.inf), np.zeros(2)])
    claim()
    write(tmp_path, "model.keras")
    with pytest.raises(FloatingPointError, match="must be finite. Received: .*kernel"):
        recipes[1].save_model(model, tmp_path / "run" / "model.keras")
    assert (tmp_path / "run" / "model.keras").read_text() == "former"


def test_a_model_brings_the_data_of_its_run(recipes, claim, tmp_path, capsys):
    import common_flags

    def data(*given):
        flags.FLAGS.unparse_flags()
        for name in flags.FLAGS:
            flags.FLAGS[name].unparse()
        flags.FLAGS(["evaluate.py", *given])
        common_flags.adopt_data_flags(tmp_path / "run" / "model.keras")
        names = ("dataset", "captions", "test_share", "kinds")
        return [flags.FLAGS[name].value for name in names]

    assert data()[0] == "emoji" and not capsys.readouterr().out
    claim("--dataset=csv", "--captions=a.csv", "--test_share=0.25", "--kinds")
    assert data() == ["csv", "a.csv", 0.25, True]
    assert "--captions=a.csv --dataset=csv" in capsys.readouterr().out
    assert data("--dataset=emoji") == ["emoji", None, 0.0, False]
    assert not capsys.readouterr().out
