"""Two devices train as one does, or say why not."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest

RUN = pathlib.Path(__file__).with_name("devices_run.py")
INDIVISIBLE = "Every batch must be divisible among the devices"
#: Said where a step is one program of all devices, of several replicas, and of several processes.
ON_JAX = {
    **dict.fromkeys(("indivisible", "dropout", "normalization"), INDIVISIBLE),
    "forgotten": "Keras must know the devices of `on_devices`",
}
OF_REPLICAS = {
    "indivisible": INDIVISIBLE,
    "dropout": "draws by the rows of one device",
    "normalization": "normalises by the rows of one device",
    "chunks": "cannot wait for each other in the loop over chunks",
    "evaluation": "Evaluation runs on one device",
    "accumulation": "cannot accumulate gradients",
    "parts": "Weights are divided among devices on JAX only",
}
OF_PROCESSES = {
    "dropout": "draws by the rows of one device",
    "normalization": "normalises by the rows of one device",
    "no shard": "Every process must read a shard of its own",
    "same rows": "Every process must read rows of its own",
    "indivisible": "Every process must read rows of its own",
    "uneven": "Every process must read as many rows",
    "compiled": "Several processes average gradients in hooks",
    "parts": "Weights are divided among devices on JAX only",
}
REFUSED = {"jax": ON_JAX, "tensorflow": OF_REPLICAS, "torch": OF_PROCESSES}


#: Steps are few: XLA shall compile quickly.
QUICKLY = " --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


def start(*command, devices=1):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "XLA_FLAGS": flags + QUICKLY}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([sys.executable, *command], env=environment, **options)


def wait_for(process):
    output, _ = process.communicate()
    assert not process.returncode, output[output.find("Traceback") :][:4000]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("devices")
    several = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    launcher = several if keras.config.backend() == "torch" else []
    wait_for(start(*launcher, str(RUN), str(folder), devices=2))
    return folder


@pytest.fixture(scope="module")
def figures(folder):
    with np.load(folder / "figures.npz") as file:
        return dict(file)


@pytest.mark.parametrize("case", ["rocmr", "chunks", "tecoa", "fare", "frozen"])
def test_two_devices_train_as_one(figures, case):
    for name in ("first", "second", "variables"):
        one, two = figures[f"one/{case}/{name}"], figures[f"two/{case}/{name}"]
        np.testing.assert_allclose(two, one, rtol=1e-5, atol=2e-6)
    assert len(figures[f"one/{case}/first"]) == 2


@pytest.mark.skipif(keras.config.backend() != "jax", reason="Elsewhere it is refused, see below.")
def test_divided_weights_train_as_whole_ones(figures):
    for name in ("first", "second", "variables"):
        one, parts = figures[f"one/rocmr/{name}"], figures[f"parts/rocmr/{name}"]
        np.testing.assert_allclose(parts, one, rtol=1e-5, atol=2e-6)


@pytest.mark.skipif(keras.config.backend() != "jax", reason="Of torch above; of TensorFlow none.")
def test_two_processes_on_jax_train_as_one(figures, folder):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    running = [start(str(RUN), str(folder), address, str(index)) for index in (0, 1)]
    for process in running:
        wait_for(process)
    with np.load(folder / "processes.npz") as file:
        found = dict(file)
    for name in ("first", "second", "variables", "resumed"):
        one = figures[f"one/fare/{name.replace('resumed', 'variables')}"]
        np.testing.assert_allclose(found[f"fare/{name}"], one, rtol=1e-5, atol=2e-6)
    assert "Weights are divided among the devices of one process" in str(found["parts"])


def test_two_devices_evaluate_as_one(figures):
    one, two = figures["one/tecoa/evaluated"], figures["two/tecoa/evaluated"]
    np.testing.assert_allclose(two, one, rtol=1e-5, atol=2e-6)


def test_two_devices_predict_as_one(figures):
    one, two = figures["one/tecoa/predicted"], figures["two/tecoa/predicted"]
    if len(two) < len(one):
        # A process has what it read: the first half of each of two batches.
        one = one.reshape(2, 2, -1, one.shape[-1])[:, 0].reshape(two.shape)
    np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-5)


def test_two_devices_encode_what_is_frozen_as_one(figures):
    one, two = figures["one/frozen/encoded"], figures["two/frozen/encoded"]
    assert np.isfinite(one).all() and len(one) >= 13
    np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-6)


def test_a_resumed_run_equals_one_that_was_not_interrupted(figures):
    np.testing.assert_array_equal(figures["two/fare/resumed"], figures["two/fare/variables"])


def test_refuses_what_would_not_equal_one_device(folder):
    found = json.loads((folder / "refusals.json").read_text("utf-8"))
    expected = REFUSED[keras.config.backend()]
    assert {name for name, text in found.items() if text != "not refused"} == set(expected)
    for name, text in expected.items():
        assert text in found[name]
