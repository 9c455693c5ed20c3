"""What `fare` and `leaf` trained goes back to KerasHub, and loads without this package."""

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.models import DualEncoder
from rocmr_keras.trainers import RoCMR

# The end of a text has the largest id, as in CLIP.
TOKEN_IDS = np.array([[1, 5, 5, 9, 39, 0, 0, 0], [1, 7, 39, 0, 0, 0, 0, 0]], "int32")
BATCH = {
    "images": np.random.RandomState(0).uniform(size=(2, 16, 16, 3)).astype("float32"),
    "token_ids": TOKEN_IDS,
    "padding_mask": TOKEN_IDS != 0,
}
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def embeddings_of(model):
    """Embeddings as the towers give them, not normalised."""
    images = model.encode_images(BATCH["images"], normalize=False)
    texts = model.encode_texts(TOKEN_IDS, TOKEN_IDS != 0, normalize=False)
    return [np.array(ops.convert_to_numpy(x)) for x in (images, texts)]


def embeddings_in_kerashub(backbone):
    pixels = (BATCH["images"] - np.array(MEAN, "float32")) / np.array(STD, "float32")
    images = backbone.get_vision_embeddings(pixels)
    texts = backbone.get_text_embeddings(TOKEN_IDS)
    return [ops.convert_to_numpy(x) for x in (images, texts)]


@pytest.mark.parametrize("terms", ["fare", "leaf"])
def test_a_trained_tower_loads_with_kerashub_alone(terms, build_backbone, tmp_path):
    import keras_hub

    model = DualEncoder.from_backbone(build_backbone("clip"))
    options = {"num_steps": 1, "keep_best": False, "seed": 0}
    if terms == "fare":
        model.freeze(texts="all", similarity=True)
        attack = {"image_attack": PGD(0.1, **options)}
    else:
        model.freeze(images="all", similarity=True)
        attack = {"text_attack": EmbeddingPGD(0.3, **options)}
    before = embeddings_of(model)
    trainer = RoCMR(model, terms=terms, **attack)
    trainer.compile(keras.optimizers.AdamW(0.01, weight_decay=0.1), run_eagerly=True)
    trainer.train_on_batch(BATCH)
    after = embeddings_of(model)
    moves = [np.abs(new - old).max() for new, old in zip(after, before)]
    # One tower moved, the other by nothing at all.
    assert moves[terms == "leaf"] > 1e-3 and moves[terms == "fare"] == 0.0
    model.save_to_preset(tmp_path / "clip")
    backbone = keras_hub.models.CLIPBackbone.from_preset(str(tmp_path / "clip"))
    for found, expected in zip(embeddings_in_kerashub(backbone), after):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
