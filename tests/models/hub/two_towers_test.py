import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.backend import value_and_grad
from rocmr_keras.models import BackboneTextEncoder
from rocmr_keras.models import DualEncoder
from rocmr_keras.trainers import RoCMR

# The end of a text has the largest id, as in CLIP.
TOKEN_IDS = np.array([[1, 5, 5, 9, 39, 0, 0, 0], [1, 7, 39, 0, 0, 0, 0, 0]], "int32")
BATCH = {
    "images": np.random.RandomState(0).uniform(size=(2, 16, 16, 3)).astype("float32"),
    "token_ids": TOKEN_IDS,
    "padding_mask": TOKEN_IDS != 0,
}
PIXELS = {
    "clip": ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]),
    "siglip": ([0.5] * 3, [0.5] * 3),
}


@pytest.fixture(scope="module", params=["clip", "siglip"])
def pair(request, build_backbone):
    family = request.param
    whole = build_backbone(family)
    # A scale of 148: pretrained SigLIP weights have one above 100, too.
    head = getattr(whole, f"{family}_head")
    head.logit_scale.assign(5.0)
    if family == "siglip":
        head.logit_bias.assign(-3.0)
    return family, whole, DualEncoder.from_backbone(whole)


def own_pixels(family):
    mean, std = np.array(PIXELS[family], "float32")
    return (BATCH["images"] - mean) / std


def own_logits(family, whole):
    inputs = {"images": own_pixels(family), "token_ids": TOKEN_IDS}
    return ops.convert_to_numpy(whole(inputs)["vision_logits"])


def logits(model):
    outputs = model(BATCH)
    return ops.convert_to_numpy(
        model.logits(outputs["image_embeddings"], outputs["text_embeddings"])
    )


def test_the_logits_are_those_of_the_backbone(pair):
    family, whole, model = pair
    np.testing.assert_allclose(logits(model), own_logits(family, whole), rtol=1e-5, atol=1e-5)


def test_there_and_back(pair):
    family, whole, model = pair
    back = model.to_backbone()
    assert type(back) is type(whole)
    np.testing.assert_allclose(
        own_logits(family, back), own_logits(family, whole), rtol=1e-5, atol=1e-5
    )


def test_save_and_load(pair, tmp_path):
    _, _, model = pair
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(logits(loaded), logits(model), rtol=1e-5, atol=1e-5)
    assert len(loaded.weights) == len(model.weights)


def embeddings_of(model):
    """Embeddings as the towers give them, not normalised."""
    images = model.encode_images(BATCH["images"], normalize=False)
    texts = model.encode_texts(TOKEN_IDS, TOKEN_IDS != 0, normalize=False)
    return [np.array(ops.convert_to_numpy(x)) for x in (images, texts)]


def embeddings_in_kerashub(backbone):
    images = backbone.get_vision_embeddings(own_pixels("clip"))
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


def test_normalisation_of_an_image_converter(pair):
    class Converter:
        scale, offset = 1 / 51, -2.0

    model = DualEncoder.from_backbone(pair[1], image_converter=Converter)
    np.testing.assert_allclose(model.image_encoder.mean, [0.4] * 3, rtol=1e-6)
    np.testing.assert_allclose(model.image_encoder.std, [0.2] * 3, rtol=1e-6)


def test_safe_where_an_embedding_is_zero(build_backbone):
    whole = build_backbone("clip")
    model = DualEncoder.from_backbone(whole)
    model.image_encoder.head.set_weights([np.zeros((16, 12))])
    images = ops.convert_to_tensor(BATCH["images"])
    losses, gradient = value_and_grad(lambda x: ops.sum(model.encode_images(x), axis=-1))(images)
    np.testing.assert_array_equal(ops.convert_to_numpy(losses), [0.0, 0.0])
    assert np.isfinite(ops.convert_to_numpy(gradient)).all()


def test_bad_backbones(backbone):
    with pytest.raises(ValueError, match="must be a two-tower model.*Join single towers"):
        DualEncoder.from_backbone(backbone("bert"))
    images = keras.Sequential([keras.Input((2, 2, 3)), keras.layers.Flatten()])
    texts = BackboneTextEncoder(backbone("bert"))
    with pytest.raises(ValueError, match="can go back. Received: towers .*BertBackbone"):
        DualEncoder(images, texts, projection_dim=4).to_backbone()
