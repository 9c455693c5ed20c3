import gc

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.export import export_saved_model
from rocmr_keras.models.quantized_parts import quantized_layers

pytestmark = [
    pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method"),
    # Keras 3.16 says it once for all of them.
    pytest.mark.filterwarnings("ignore:.* were skipped because they do not support quantization"),
]


@pytest.fixture(scope="module", autouse=True)
def nothing_collected():
    """Keras asks for it after each layer, also when it loads one, to have the memory at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gc, "collect", lambda: 0)
        yield


@pytest.fixture(scope="module")
def quantized(small_model, tmp_path_factory):
    """A model of its own: the one that is shared stays as it is."""
    path = tmp_path_factory.mktemp("exact") / "model.keras"
    small_model.save(path)
    model = keras.saving.load_model(path)
    model.image_encoder.quantize("int8")
    model.text_encoder.quantize("int8")
    return model


def embed(model):
    images = np.random.RandomState(0).uniform(size=(3, 8, 12, 3)).astype("float32")
    tokens = model.preprocessor.tokenize(["a red square", "blue", "some thing"])
    outputs = model({"images": images, **tokens})
    return [ops.convert_to_numpy(outputs[name]) for name in sorted(outputs)]


def test_quantized_towers_are_near_and_are_loaded_again(small_model, quantized, tmp_path):
    exact, rounded = embed(small_model), embed(quantized)
    for before, after in zip(exact, rounded):
        cosines = (before * after).sum(axis=-1)
        assert 0.995 < cosines.min() and np.abs(before - after).max() > 0
    quantized.save(tmp_path / "int8.keras")
    again = keras.saving.load_model(tmp_path / "int8.keras")
    modes = quantized_layers(again.text_encoder)
    # Query, key, value and output of attention, two of the block, and the projection.
    assert modes == quantized_layers(quantized.text_encoder) and len(modes) == 7
    assert set(modes.values()) == {"int8"}
    assert not quantized_layers(small_model.text_encoder)
    for one, other in zip(rounded, embed(again), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="a process more elsewhere")
def test_quantized_towers_are_exported(quantized, tmp_path):
    manifest = export_saved_model(quantized, tmp_path / "1")
    assert manifest["weights"]["largest_deviation"] < 1e-5
