"""Freezing, LoRA, recomputing, rates and precision on the towers of ready-made models."""

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.fine_tuning import enable_lora
from rocmr_keras.fine_tuning import layerwise_multipliers
from rocmr_keras.fine_tuning import ordered_blocks
from rocmr_keras.fine_tuning import rematerialize
from rocmr_keras.fine_tuning import set_precision
from rocmr_keras.models import BackboneImageEncoder
from rocmr_keras.models import BackboneTextEncoder
from rocmr_keras.models import DualEncoder
from rocmr_keras.trainers import RoCMR

# As many tokens as an image has patches and a class token: what is compiled for one tower
# serves the other.
TOKEN_IDS = np.array([[1, 5, 9, 39, 0], [1, 7, 39, 0, 0]], "int32")
BATCH = {
    "images": np.random.RandomState(0).uniform(size=(2, 8, 8, 3)).astype("float32"),
    "token_ids": TOKEN_IDS,
    "padding_mask": TOKEN_IDS != 0,
}
BLOCKS = {
    "clip": ["encoder_block_0", "encoder_block_1"] * 2,
    "vit_bert": [
        "transformer_block_1",
        "transformer_block_2",
        "transformer_layer_0",
        "transformer_layer_1",
    ],
}


def to_numpy(x):
    return np.array(ops.convert_to_numpy(x))


@pytest.fixture(scope="module", params=BLOCKS)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def make_model(family, build_backbone):
    """Builds models of equal weights, large enough to tell inputs apart."""

    def make_model():
        import keras_hub

        pixels = {"patch_size": 4, "image_shape": (8, 8, 3), "num_layers": 2}
        words = {"max_sequence_length": 5, "num_layers": 2}
        if family == "clip":
            towers = (
                build_backbone("clip_vision", **pixels),
                build_backbone("clip_text", **words),
            )
            backbone = keras_hub.models.CLIPBackbone(*towers, projection_dim=12)
            model = DualEncoder.from_backbone(backbone)
        else:
            model = DualEncoder(
                BackboneImageEncoder(build_backbone("vit", **pixels)),
                BackboneTextEncoder(build_backbone("bert", dropout=0.0, **words)),
                projection_dim=12,
            )
        random = np.random.RandomState(0)
        for weight in model.trainable_weights:
            if len(weight.shape) > 1:
                weight.assign(random.normal(size=weight.shape) / weight.shape[0] ** 0.5)
        return model

    return make_model


def towers_of(model):
    return model.image_encoder, model.text_encoder


def blocks_of(model):
    return [block for tower in towers_of(model) for block in ordered_blocks(tower)[1]]


def projections(model):
    parts = (model.image_projection, model.text_projection)
    return [weight for part in parts if part is not None for weight in part.weights]


def encode(model):
    return [to_numpy(x) for x in model(BATCH).values()]


def rates_of(model):
    """The multiplier by the id of a weight: paths are not unique here."""
    multipliers = layerwise_multipliers(model, 0.5)
    return {id(w): rate for w, rate in zip(model.trainable_weights, multipliers, strict=True)}


def make_trainer(model):
    options = {"num_steps": 1, "keep_best": False, "random_start": False, "seed": 0}
    return RoCMR(model, PGD(0.1, **options), EmbeddingPGD(0.3, **options))


def loss_of(trainer, views):
    return float(to_numpy(trainer.compute_loss(x=views, y_pred=trainer(views, training=True))))


def step(model):
    """Takes one training step; returns the weights that moved."""
    before = [to_numpy(weight) for weight in model.weights]
    trainer = RoCMR(model, terms="standard")
    trainer.compile(keras.optimizers.SGD(1.0), run_eagerly=True)
    trainer.train_on_batch(BATCH)
    return [w for w, old in zip(model.weights, before) if np.any(to_numpy(w) != old)]


def check_a_step_moves_what_trains(model):
    moved, trained = ({id(w): w.path for w in x} for x in (step(model), model.trainable_weights))
    assert moved.keys() <= trained.keys()
    still = [path for key, path in trained.items() if key not in moved]
    # What is added to all keys cancels in the softmax: the gradient is zero.
    assert all(path.endswith("key/bias") for path in still), still


def test_the_last_blocks_train_at_rates_of_their_own(family, make_model):
    model = make_model()
    blocks = blocks_of(model)
    assert [block.name for block in blocks] == BLOCKS[family]
    rates = rates_of(model)
    for tower in towers_of(model):
        parts, own = ordered_blocks(tower)
        found = [{rates[id(w)] for w in part.trainable_weights} for part in (parts[0], *own)]
        assert found == [{0.125}, {0.25}, {0.5}]
    model.freeze(images=1, texts=1)
    assert [bool(block.trainable_weights) for block in blocks] == [False, True] * 2
    rates = rates_of(model)
    last = {id(weight) for block in blocks[1::2] for weight in block.trainable_weights}
    assert {rates[key] for key in last} == {0.5}
    assert {rate for key, rate in rates.items() if key not in last} == {1.0}
    check_a_step_moves_what_trains(model)


def test_lora_trains_the_updates_alone_and_is_merged_when_saved(make_model, tmp_path):
    model = make_model()
    before = encode(model)
    model.freeze(similarity=True)
    for tower in towers_of(model):
        # Four of attention and two of the perceptron in each of two blocks, and more.
        assert len(enable_lora(tower, rank=2)) >= 2 * 6
        assert all("lora" in weight.path for weight in tower.trainable_weights)
    for ours, theirs in zip(before, encode(model)):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    moved = {id(weight) for weight in step(model)}
    # The second factor is zero at first, so that the first has no gradient yet.
    for weight in model.weights:
        is_projection = any(weight is x for x in projections(model))
        moves = "lora_kernel_b" in weight.path or is_projection
        assert (id(weight) in moved) == moves, weight.path
    after = encode(model)
    assert max(np.abs(x - y).max() for x, y in zip(before, after)) > 1e-3
    model.save(tmp_path / "model.keras")
    for ours, theirs in zip(after, encode(keras.saving.load_model(tmp_path / "model.keras"))):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_recomputed_blocks_give_the_same_views_and_the_same_loss(make_model):
    models = make_model(), make_model()
    for ours, theirs in zip(models[0].weights, models[1].weights, strict=True):
        theirs.assign(ours)
    for tower in towers_of(models[1]):
        assert len(rematerialize(tower)) == 2
    trainers = [make_trainer(model) for model in models]
    views = [trainer.perturb(BATCH, training=True) for trainer in trainers]
    for name in ("adversarial_images", "text_perturbation"):
        values = [to_numpy(view[name]) for view in views]
        np.testing.assert_allclose(*values, atol=1e-5, err_msg=name)
        assert np.any(values[0] != BATCH.get(name.removeprefix("adversarial_"), 0.0))
    losses = [loss_of(*pair) for pair in zip(trainers, views)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_attacks_in_half_precision(make_model):
    model = make_model()
    before = encode(model)
    for tower in towers_of(model):
        assert len(set_precision(tower, "mixed_bfloat16")) == 2
    after = encode(model)
    differences = [np.abs(x - y).max() for x, y in zip(before, after)]
    assert all(0.0 < difference < 0.05 for difference in differences), differences
    views = make_trainer(model).perturb(BATCH, training=True)
    moved = np.abs(to_numpy(views["adversarial_images"]) - BATCH["images"])
    assert np.mean(moved > 0.0) > 0.9
    # Rows of captions, as the special tokens are unknown here.
    moved = np.abs(to_numpy(views["text_perturbation"])).max(axis=-1)
    np.testing.assert_array_equal(moved > 0.0, BATCH["padding_mask"])


def test_a_token_is_found(make_model):
    model = make_model()
    attack = TokenSubstitution(1, num_candidates=8, seed=0)
    terms = {"adversarial_texts": 1.0}
    trainer = RoCMR(model, text_attack=attack, terms=terms)
    views = trainer.perturb(BATCH, training=True)
    found = to_numpy(views["adversarial_token_ids"])
    assert np.all(np.sum(found != TOKEN_IDS, axis=1) == 1)
    unchanged = {**views, "adversarial_token_ids": TOKEN_IDS}
    assert loss_of(trainer, views) > loss_of(trainer, unchanged)


def test_a_frozen_backbone_gives_constant_features(make_model):
    model = make_model()
    assert not model.is_constant("images") and not model.is_constant("texts")
    model.freeze(images="tower", texts="tower")
    found = {}
    for side, name in (("images", "image_features"), ("texts", "text_features")):
        assert model.is_constant(side)
        found[name] = model.frozen_features(BATCH, side)
    expected, rest = model(BATCH), model(found)
    for name, embeddings in expected.items():
        np.testing.assert_allclose(to_numpy(rest[name]), to_numpy(embeddings), atol=1e-6)


def test_the_summary_shows_what_towers_give(make_model):
    model, lines = make_model(), []
    model.summary(print_fn=lines.append)
    width = model.image_encoder.projection_dim
    assert "\n".join(map(str, lines)).count(f"(None, {width})") == 2
