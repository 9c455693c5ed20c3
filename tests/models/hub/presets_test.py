import numpy as np
import pytest
from keras import ops

from rocmr_keras.data import HubPreprocessor
from rocmr_keras.models import DualEncoder

IMAGES = np.random.RandomState(0).uniform(size=(2, 16, 16, 3)).astype("float32")
TEXTS = ["AB a", "b"]


@pytest.fixture(scope="module")
def model(build_backbone):
    import keras_hub

    letters = [chr(code) for code in range(ord("a"), ord("r") + 1)]
    pieces = ["!", *letters, *(letter + "</w>" for letter in letters), "ab</w>"]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = keras_hub.models.CLIPTokenizer(vocabulary, ["a b</w>"])
    preprocessor = HubPreprocessor(tokenizer, 8, (16, 16), interpolation="bicubic")
    return DualEncoder.from_backbone(build_backbone("clip"), preprocessor)


def embeddings(model):
    outputs = model.encode_images(IMAGES), model.encode_texts(TEXTS)
    return [ops.convert_to_numpy(value) for value in outputs]


def test_there_and_back(model, tmp_path):
    model.save_to_preset(tmp_path)
    loaded = DualEncoder.from_preset(tmp_path)
    for found, expected in zip(embeddings(loaded), embeddings(model)):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    config, expected = loaded.preprocessor.get_config(), model.preprocessor.get_config()
    assert {k: v for k, v in config.items() if k != "tokenizer"} == {
        k: v for k, v in expected.items() if k != "tokenizer"
    }
    np.testing.assert_allclose(loaded.image_encoder.mean, model.image_encoder.mean, rtol=1e-6)
    # The rest is KerasHub's own folder; without a tokenizer there is no preprocessor.
    (tmp_path / "tokenizer.json").unlink()
    assert DualEncoder.from_preset(str(tmp_path)).preprocessor is None


def test_other_models(backbone, tmp_path):
    backbone("bert").save_to_preset(str(tmp_path))
    with pytest.raises(ValueError, match="must be a two-tower model.*Received: backbone=<Bert"):
        DualEncoder.from_preset(tmp_path)
