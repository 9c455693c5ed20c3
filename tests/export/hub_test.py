"""A KerasHub CLIP goes into a SavedModel with its own tokenizer."""

import numpy as np
import pytest
from keras import ops

from rocmr_keras.data import HubPreprocessor
from rocmr_keras.export import export_saved_model
from rocmr_keras.export import verify
from rocmr_keras.models import DualEncoder
from rocmr_keras.serving import Servable

TEXTS = ["AB a", "b", "", "ab ab ab ab ab ab ab ab"]


@pytest.fixture(scope="module")
def model():
    import keras_hub

    letters = [chr(code) for code in range(ord("a"), ord("r") + 1)]
    pieces = ["!", *letters, *(letter + "</w>" for letter in letters), "ab</w>"]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = keras_hub.models.CLIPTokenizer(vocabulary, ["a b</w>"])
    widths = {"num_layers": 1, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 16}
    vision = keras_hub.models.CLIPVisionEncoder(patch_size=8, image_shape=(16, 16, 3), **widths)
    text = keras_hub.models.CLIPTextEncoder(
        vocabulary_size=len(pieces), embedding_dim=16, max_sequence_length=8, **widths
    )
    backbone = keras_hub.models.CLIPBackbone(vision, text, projection_dim=8)
    preprocessor = HubPreprocessor(tokenizer, 8, (16, 16), interpolation="bicubic")
    return DualEncoder.from_backbone(backbone, preprocessor)


def test_it_answers_as_the_model_does(model, tmp_path):
    export_saved_model(model, tmp_path / "1")
    verify(tmp_path / "1")
    servable = Servable(tmp_path / "1", version=1)
    texts = np.array([text.encode() for text in TEXTS], object)
    found = servable.run("embed_texts", {"texts": texts})["embeddings"]
    np.testing.assert_allclose(found, ops.convert_to_numpy(model.encode_texts(TEXTS)), atol=1e-5)
    pixels = np.random.default_rng(0).random((2, 16, 16, 3), "float32")
    found = servable.run("embed_pixels", {"pixels": pixels})["embeddings"]
    np.testing.assert_allclose(found, ops.convert_to_numpy(model.encode_images(pixels)), atol=1e-5)
