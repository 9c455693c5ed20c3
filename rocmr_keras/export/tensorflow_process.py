"""Exports from JAX and PyTorch through a process of its own, whose backend is TensorFlow."""

import gc
import importlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import keras
import numpy as np

from rocmr_keras.gallery.gallery import Gallery

_OURS = ("keras", "keras_hub", "rocmr_keras", "builtins", "__main__")


def write_in_subprocess(model, folder, gallery, queries, examples, settings):
    """Does what `write_saved_model` does, whatever the backend of this process is.

    Args:
        model: `DualEncoder`, saved to a temporary file. Classes of the user's own must be
            registered with Keras, in a module that can be imported.
        folder: Path, empty.
        gallery: `Gallery` or `None`.
        queries: Float array `(q, dim)` or `None`.
        examples: What `make_examples` returned.
        settings: Dict, see `export_saved_model`.

    Raises:
        ValueError: If the model cannot be saved.
        RuntimeError: If the process failed.
    """
    with tempfile.TemporaryDirectory() as job:
        job = pathlib.Path(job)
        _save(model, job / "model.keras")
        np.savez(job / "examples.npz", **examples)
        if gallery is not None:
            gallery.save(job / "gallery")
        if queries is not None:
            np.save(job / "queries.npy", np.asarray(queries, "float32"))
        settings = {**settings, "folder": str(folder), "modules": _modules()}
        (job / "settings.json").write_text(json.dumps(settings), "utf-8")
        run(job)


def run(job):
    """Runs this module on the folder of a job, in a process whose backend is TensorFlow."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        # The accelerators are in use by the process that waits.
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    command = [sys.executable, "-m", "rocmr_keras.export.tensorflow_process", str(job)]
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, errors="replace"
    )
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        raise RuntimeError(
            "The export in a TensorFlow process failed (exit status "
            f"{result.returncode}). Its last words:\n" + "\n".join(lines[-12:]) + "\nClasses of "
            "your own must be registered with Keras, in a module that can be imported."
        )


def _save(model, path):
    try:
        model.save(path)
    except NotImplementedError as error:
        raise ValueError(
            "On this backend `model` must be one that can be saved. Received: "
            f"model={model}: {error} Or export it where KERAS_BACKEND=tensorflow."
        ) from error


def _modules():
    """Modules that registered classes with Keras, to be imported by the other process."""
    found = {thing.__module__ for thing in keras.saving.get_custom_objects().values()}
    # What was made by `exec` is of no module.
    return sorted(name for name in found if name and name.split(".")[0] not in _OURS)


def main(job):
    """Exports what lies in the folder of a job."""
    job = pathlib.Path(job)
    settings = json.loads((job / "settings.json").read_text("utf-8"))
    for name in settings["modules"]:
        try:
            importlib.import_module(name)
        except ImportError:
            # It may not be needed; if it is, loading the model names the class.
            pass
    from rocmr_keras.export.writing import write_saved_model

    gallery = Gallery.load(job / "gallery") if (job / "gallery").exists() else None
    queries = np.load(job / "queries.npy") if (job / "queries.npy").exists() else None
    with np.load(job / "examples.npz") as examples:
        examples = dict(examples)
    model = keras.saving.load_model(job / "model.keras", compile=False)
    write_saved_model(model, settings["folder"], gallery, queries, examples, settings)


if __name__ == "__main__":
    main(sys.argv[1])
    # Python would go through all objects of the frameworks before it ends: a sixth of the time.
    gc.freeze()
