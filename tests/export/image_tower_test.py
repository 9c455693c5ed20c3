import importlib.util

import keras
import pytest

from rocmr_keras.export import export_image_tower
from rocmr_keras.export import verify


# TensorFlow recommends another package for running the file.
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
def test_litert_or_an_honest_error(model, tmp_path):
    path = tmp_path / "tower"
    if keras.config.backend() == "tensorflow":
        assert export_image_tower(model, path, format="litert") < 1e-5
        assert list(verify(path)["files"]) == ["image_tower.tflite"]
    else:
        with pytest.raises(ValueError, match="from tensorflow.*in a process with KERAS_BACKEND"):
            export_image_tower(model, path, format="litert")
        assert not path.exists()


@pytest.mark.skipif(keras.config.backend() != "torch", reason="On TensorFlow it needs tf2onnx.")
def test_onnx_from_pytorch(model, tmp_path):
    path = tmp_path / "tower"
    assert export_image_tower(model, path) < 1e-5
    assert "image_tower.onnx" in verify(path)["files"]


def test_openvino_or_an_honest_error(model, tmp_path):
    path = tmp_path / "tower"
    if keras.config.backend() == "jax":
        with pytest.raises(ValueError, match="from tensorflow or torch.*KERAS_BACKEND=tensorflow"):
            export_image_tower(model, path, format="openvino")
    elif importlib.util.find_spec("openvino"):
        assert export_image_tower(model, path, format="openvino") < 1e-5
        assert {"image_tower.xml", "image_tower.bin"} <= set(verify(path)["files"])
    else:
        with pytest.raises(ImportError, match=r"not installed: openvino. Run `pip.*\[convert\]"):
            export_image_tower(model, path, format="openvino")
        assert not path.exists()


def test_unknown_format(model, tmp_path):
    with pytest.raises(ValueError, match="`format` must be one of.*'onnx'.*coreml"):
        export_image_tower(model, tmp_path / "tower", format="coreml")
