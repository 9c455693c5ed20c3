"""Two devices train as one does, or say why not."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

RUN = pathlib.Path(__file__).with_name("devices_run.py")
INDIVISIBLE = "Every batch must be divisible among the devices"
#: Said where a step is one program of all devices, of several replicas, and of several processes.
ON_JAX = dict.fromkeys(("indivisible", "dropout", "normalization"), INDIVISIBLE)
OF_REPLICAS = {
    "indivisible": INDIVISIBLE,
    "dropout": "draws by the rows of one device",
    "normalization": "normalises by the rows of one device",
    "chunks": "cannot wait for each other in the loop over chunks",
    "evaluation": "Evaluation runs on one device",
    "accumulation": "cannot accumulate gradients",
}
OF_PROCESSES = {
    "dropout": "draws by the rows of one device",
    "normalization": "normalises by the rows of one device",
    "no shard": "Every process must read a shard of its own",
    "same rows": "Every process must read rows of its own",
    "indivisible": "Every process must read rows of its own",
    "uneven": "Every process must read as many rows",
}
REFUSED = {"jax": ON_JAX, "tensorflow": OF_REPLICAS, "torch": OF_PROCESSES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder, flags = tmp_path_factory.mktemp("devices"), os.environ.get("XLA_FLAGS", "")
    start = [sys.executable]
    if keras.config.backend() == "torch":
        start += ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    environment = {
        **os.environ,
        "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count=2",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [*start, str(RUN), str(folder)], env=environment, capture_output=True, text=True
    )
    assert not done.returncode, done.stderr[-4000:]
    return folder


@pytest.fixture(scope="module")
def figures(folder):
    with np.load(folder / "figures.npz") as file:
        return dict(file)


@pytest.mark.parametrize("case", ["rocmr", "chunks", "tecoa", "fare"])
def test_two_devices_train_as_one(figures, case):
    for name in ("first", "second", "variables"):
        one, two = figures[f"one/{case}/{name}"], figures[f"two/{case}/{name}"]
        np.testing.assert_allclose(two, one, rtol=1e-5, atol=2e-6)
    assert len(figures[f"one/{case}/first"]) == 2


def test_two_devices_evaluate_as_one(figures):
    one, two = figures["one/tecoa/evaluated"], figures["two/tecoa/evaluated"]
    np.testing.assert_allclose(two, one, rtol=1e-5, atol=2e-6)


def test_two_devices_predict_as_one(figures):
    one, two = figures["one/tecoa/predicted"], figures["two/tecoa/predicted"]
    if len(two) < len(one):
        # A process has what it read: the first half of each of two batches.
        one = one.reshape(2, 2, -1, one.shape[-1])[:, 0].reshape(two.shape)
    np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-5)


def test_a_resumed_run_equals_one_that_was_not_interrupted(figures):
    np.testing.assert_array_equal(figures["two/fare/resumed"], figures["two/fare/variables"])


def test_refuses_what_would_not_equal_one_device(folder):
    found = json.loads((folder / "refusals.json").read_text("utf-8"))
    expected = REFUSED[keras.config.backend()]
    assert {name for name, text in found.items() if text != "not refused"} == set(expected)
    for name, text in expected.items():
        assert text in found[name]
