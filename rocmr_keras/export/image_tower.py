import importlib.util
import os
import pathlib
import warnings

import keras
import numpy as np

from rocmr_keras.export.manifest import write_manifest
from rocmr_keras.export.saved_model import make_examples
from rocmr_keras.files import new_folder
from rocmr_keras.gallery.encoding import Tower

_SUFFIXES = {"onnx": ".onnx", "litert": ".tflite", "openvino": ".xml"}
# The backends that Keras converts from, as far as the result was seen to be right, and the packages
# that convert and check. Of what JAX writes, OpenVINO does not know `XlaCallModule`.
_PACKAGES = {
    "onnx": {"tensorflow": ("tf2onnx", "onnxruntime"), "torch": ("onnxscript", "onnxruntime")},
    "litert": {"tensorflow": ()},
    "openvino": {"tensorflow": ("openvino",), "torch": ("openvino",)},
}
_INSTALL = 'Run `pip install "rocmr-keras[convert]"`, or choose another `format`.'
_TOLERANCE = 1e-4


def export_image_tower(model, path, format="onnx", overwrite=False):
    """Writes the image tower for another runtime: pixels in, embeddings out.

    Keras does the conversion, on the TensorFlow backend, to ONNX and OpenVINO also on PyTorch.
    The result is run in its own runtime and compared with the model, for a single image and for
    several, before it is moved into place.

    Args:
        model: A `DualEncoder` with a preprocessor.
        path: Path of the folder; it will hold `image_tower.onnx` (or `.tflite`, or
            `.xml` and `.bin`) and `manifest.json`. Input: float32 `(n, h, w, 3)` in `[0, 1]`.
        format: `"onnx"` (needs onnxruntime, and tf2onnx on TensorFlow, onnxscript on PyTorch),
            `"litert"`, or `"openvino"` (needs openvino). Defaults to `"onnx"`.
        overwrite: Boolean, whether to replace `path`. Defaults to `False`.

    Returns:
        Float, the largest difference to the model's embeddings, at most 1e-4.

    Raises:
        ValueError: If the format is unknown, the backend is another, the conversion fails (ONNX
            for a transformer: its converter does not know `Erfc`), or the result differs.
        ImportError: If a package is missing.

    Example:

    ```python
    rocmr_keras.export.export_image_tower(model, "image_tower", format="litert")
    ```
    """
    check_tower_format(format)
    examples = make_examples(model)
    images = keras.Input((*model.preprocessor.image_size, 3), dtype="float32", name="pixels")
    tower = keras.Model(images, Tower(model, "images")(images))
    # Keras exports to ONNX what has been called.
    tower(examples["pixels"])
    with new_folder(path, overwrite) as folder:
        file = folder / f"image_tower{_SUFFIXES[format]}"
        found = _convert_and_run(tower, file, format, examples["pixels"])
        wanted = examples["images"]
        deviation = float(np.abs(found - np.concatenate([wanted, wanted[:1]])).max())
        if not deviation <= _TOLERANCE:
            raise ValueError(
                "The converted tower must give the model's own embeddings. Received: a "
                f"difference of {deviation} with format={format!r}. Choose another format."
            )
        write_manifest(pathlib.Path(folder), format_name=format, largest_deviation=deviation)
    return deviation


def check_tower_format(format):
    """Refuses a format that `export_image_tower` cannot write in this process.

    Args:
        format: String.

    Raises:
        ValueError: If the format is unknown, or Keras does not write it from this backend.
        ImportError: If a package is missing.
    """
    if format not in _SUFFIXES:
        raise ValueError(
            f"`format` must be one of {sorted(_SUFFIXES)}. Received: format={format!r}. "
            "`export_saved_model` writes a SavedModel."
        )
    backends, backend = _PACKAGES[format], keras.config.backend()
    if backend not in backends:
        raise ValueError(
            f"Keras converts to this format from {' or '.join(backends)}. Received: "
            f"format={format!r} on the backend {backend!r}. Save the model, and export it in a "
            "process with KERAS_BACKEND=tensorflow."
        )
    missing = [name for name in backends[backend] if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"Writing and checking {format!r} needs packages that are not installed: "
            f"{', '.join(missing)}. {_INSTALL}"
        )


def _convert_and_run(tower, file, format, pixels):
    """Returns what the converted tower gives for all images, and below for the first alone."""
    try:
        with warnings.catch_warnings():
            # PyTorch warns of each branch of Keras's code that it has not followed.
            warnings.simplefilter("ignore")
            tower.export(os.fspath(file), format=format, verbose=False)
        return np.concatenate([_RUNNERS[format](file, part) for part in (pixels, pixels[:1])])
    except ImportError as error:
        raise ImportError(
            f"Writing and checking {format!r} needs a package that is not installed: {error}. "
            f"{_INSTALL}"
        ) from error
    except Exception as error:
        # Converters and runtimes have errors of their own, without a common class.
        raise ValueError(
            "`format` must be one that can hold this tower. Received: "
            f"format={format!r}, which failed: {error}. Choose another format."
        ) from error


def _run_onnx(file, pixels):
    import onnxruntime

    session = onnxruntime.InferenceSession(os.fspath(file), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: pixels})[0]


def _run_litert(file, pixels):
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_path=os.fspath(file))
    place = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(place, pixels.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(place, pixels)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def _run_openvino(file, pixels):
    import openvino

    # On some processors its default is bfloat16.
    precise = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(os.fspath(file), "CPU", precise)
    return compiled(pixels)[0]


_RUNNERS = {"onnx": _run_onnx, "litert": _run_litert, "openvino": _run_openvino}
