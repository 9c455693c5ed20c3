"""A run of several processes is that of one: one of them writes, and any number goes on."""

import csv
import os
import pathlib
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

RECIPE = pathlib.Path(__file__).parents[1] / "recipes" / "train.py"
TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")

pytestmark = pytest.mark.skipif(
    keras.config.backend() != "torch", reason="Elsewhere one process trains on all devices."
)


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    """Those of a training that draws: of noise, with captions of two words."""
    folder, draw = tmp_path_factory.mktemp("noise"), np.random.default_rng(0)
    with open(folder / "captions.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "caption", "split"])
        for index in range(16):
            pixels = draw.integers(0, 256, (16, 16, 3), dtype="uint8")
            Image.fromarray(pixels).save(folder / f"{index}.png")
            writer.writerow([f"{index}.png", f"word{index % 5} thing{index}", "train"])
    data = ["--dataset=csv", f"--captions={folder}/captions.csv", f"--images={folder}"]
    sizes = ["--image_size=16", "--vocabulary_size=40", "--sequence_length=6", "--batch_size=8"]
    return [*data, *sizes, "--dropout=0.2", "--mirror", "--evaluate_on=none"]


def run(output, *flags, launcher=()):
    command = [sys.executable, *launcher, str(RECIPE), f"--output={output}", *flags]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def history(folder):
    with open(folder / "history.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    # Keras writes NA where there was no validation.
    return [[float(cell) for cell in row.values() if cell != "NA"] for row in rows]


def state(folder):
    with np.load(folder / "state.npz") as file:
        names = [name for name in file.files if name.startswith("variable_")]
        return np.concatenate([file[name].astype("float64").ravel() for name in sorted(names)])


def assert_same(folder, other, epochs):
    # Signs of gradients flip by rounding, and Adam's first steps know no size.
    np.testing.assert_allclose(history(folder), history(other)[:epochs], rtol=1e-3, atol=1e-3)
    assert len(history(folder)) == epochs


def test_processes_train_as_one_and_go_on_where_one_ended(flags, tmp_path):
    one, two, changed = (tmp_path / name for name in ("one", "two", "changed"))
    run(one, "--epochs=2", *flags)
    run(two, "--epochs=1", *flags, launcher=TWO)
    assert {path.name for path in two.iterdir()} == {path.name for path in one.iterdir()} - {
        "state.npz.previous"
    }
    assert_same(two, one, 1)
    shutil.copytree(one, changed)
    # That after the first epoch.
    os.replace(changed / "state.npz.previous", changed / "state.npz")
    run(changed, "--epochs=2", "--resume", *flags, launcher=TWO)
    assert_same(changed, one, 2)
    start = state(two)
    assert np.abs(state(changed) - start).max() > 1e-3
    np.testing.assert_allclose(state(changed), state(one), rtol=1e-4, atol=1e-4)
