import keras
import numpy as np
import pytest
from keras import ops

EXPORTS = keras.config.backend() != "torch"


# Keras asks JAX for it in the old way.
@pytest.mark.filterwarnings("ignore:The `native_serialization` parameter:DeprecationWarning")
@pytest.mark.skipif(not EXPORTS, reason="Keras writes no SavedModel of several inputs from torch")
def test_a_saved_model_without_a_signature(small_model, tmp_path):
    small_model.export(tmp_path / "saved", verbose=False)
    assert (tmp_path / "saved" / "saved_model.pb").exists()
    if keras.config.backend() == "tensorflow":  # Which alone runs it as a layer.
        layer = keras.layers.TFSMLayer(str(tmp_path / "saved"), call_endpoint="serve")
        images = np.random.RandomState(0).uniform(size=(3, 8, 12, 3)).astype("float32")
        tokens = small_model.preprocessor.tokenize(["a red square", "blue", "some thing"])
        found, expected = (model({"images": images, **tokens}) for model in (layer, small_model))
        for name, values in expected.items():
            found_here = ops.convert_to_numpy(found[name])
            np.testing.assert_allclose(found_here, ops.convert_to_numpy(values), atol=1e-5)


@pytest.mark.skipif(EXPORTS, reason="the others write it")
def test_torch_is_told_where_to_go(small_model, tmp_path):
    with pytest.raises(ValueError, match="Received: the backend 'torch'. Call `rocmr_keras.exp"):
        small_model.export(tmp_path / "saved")


@pytest.mark.parametrize("format", ["onnx", "litert", "openvino"])
def test_other_formats_are_of_a_tower(small_model, tmp_path, format):
    with pytest.raises(ValueError, match=f"Received: format='{format}'.*export_image_tower"):
        small_model.export(tmp_path / "saved", format=format)


def test_the_summary_shows_shapes(small_model):
    lines = []
    small_model.summary(print_fn=lines.append)
    shown = "\n".join(map(str, lines))
    assert shown.count("(None, 8)") == 2
