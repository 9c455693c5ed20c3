"""What `RoCMR` computes, step by step and without compiling."""

import inspect

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras import losses
from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import Attack
from rocmr_keras.attacks import CharacterEdits
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.attacks import encode_adversarial_texts
from rocmr_keras.attacks import objectives
from rocmr_keras.trainers import PRESETS
from rocmr_keras.trainers import RoCMR
from rocmr_keras.trainers import views as views_module
from rocmr_keras.trainers.terms import VIEWS

# Weight, rows and columns of each term, by the numbers of VIEWS.
EXPECTED_TERMS = {
    "standard": [(1.0, 0, 1)],
    "rocmr": [(0.15, 0, 1), (0.05, 2, 1), (0.1, 0, 3), (0.7, 2, 3)],
    "rocmr_image_only": [(0.5, 0, 1), (0.5, 2, 1)],
    "rocmr_text_only": [(0.5, 0, 1), (0.5, 0, 3)],
    "tecoa": [(1.0, 2, 1)],
    "mmcoa": [(0.5, 2, 1), (0.5, 0, 3)],
    "mat": [(1.0, 2, 3)],
}
RETRIEVING = list(EXPECTED_TERMS)
# Those with terms that are no retrieval loss are in `reference_test.py`.
OTHERS = ["fare", "leaf", "villa"]


def softmax_loss(similarities, positives, scale):
    """The NumPy twin of `SymmetricSoftmax`."""
    logits = scale * similarities.astype("float64")
    total = 0.0
    for scores, own in ((logits, positives), (logits.T, positives.T)):
        shares = np.exp(scores - scores.max(1, keepdims=True))
        shares = np.log(shares / shares.sum(1, keepdims=True))
        total -= np.mean((shares * own).sum(1) / own.sum(1)) / 2
    return total


def all_views(trainer, batch):
    """Returns the four views through the model itself, whatever the terms use."""
    model = trainer.dual_encoder
    views = {
        "image_embeddings": model.encode_images(batch["images"]),
        "text_embeddings": model.encode_texts(batch["token_ids"], batch["padding_mask"]),
    }
    if "adversarial_images" in batch:
        views["adversarial_image_embeddings"] = model.encode_images(batch["adversarial_images"])
    if "text_perturbation" in batch or "adversarial_token_ids" in batch:
        views["adversarial_text_embeddings"] = encode_adversarial_texts(model, batch)
    return {name: ops.convert_to_numpy(value) for name, value in views.items()}


def loss_of(trainer, batch, training=True):
    perturbed = trainer.perturb(batch, training=training)
    views = trainer(perturbed, training=training)
    loss = trainer.compute_loss(x=perturbed, y_pred=views, training=training)
    return perturbed, views, float(ops.convert_to_numpy(loss))


def test_the_table_is_complete():
    assert {*RETRIEVING, *OTHERS} == set(PRESETS)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("preset", RETRIEVING)
def test_the_loss_of_a_preset(preset, training, make_trainer, batch):
    trainer = make_trainer(preset)
    perturbed, _, loss = loss_of(trainer, batch, training)
    views = all_views(trainer, perturbed)
    positives = batch["image_ids"][:, None] == batch["image_ids"]
    scale = float(ops.convert_to_numpy(trainer.dual_encoder.scale()))
    expected = sum(
        weight * softmax_loss(views[VIEWS[rows]] @ views[VIEWS[columns]].T, positives, scale)
        for weight, rows, columns in EXPECTED_TERMS[preset]
    )
    assert loss == pytest.approx(expected, rel=1e-4)


def test_the_views_terms_compare_each_modality_with_itself(make_trainer, batch):
    trainer = make_trainer({"image_views": 0.5, "text_views": 2.0})
    perturbed, found, loss = loss_of(trainer, batch)
    assert set(found) == set(VIEWS)
    views = all_views(trainer, perturbed)
    positives = batch["image_ids"][:, None] == batch["image_ids"]
    scale = float(ops.convert_to_numpy(trainer.dual_encoder.scale()))
    images = softmax_loss(views[VIEWS[0]] @ views[VIEWS[2]].T, positives, scale)
    texts = softmax_loss(views[VIEWS[1]] @ views[VIEWS[3]].T, positives, scale)
    assert loss == pytest.approx(0.5 * images + 2.0 * texts, rel=1e-4)


@pytest.mark.parametrize("name", ["symmetric_softmax", "pairwise_sigmoid", "hardest_triplet"])
def test_every_loss_gets_cosines_positives_scale_and_bias(name, make_trainer, batch):
    trainer = make_trainer("tecoa", loss=name)
    perturbed, _, loss = loss_of(trainer, batch)
    views = all_views(trainer, perturbed)
    similarities = views["adversarial_image_embeddings"] @ views["text_embeddings"].T
    positives = batch["image_ids"][:, None] == batch["image_ids"]
    tensors = [ops.convert_to_tensor(value) for value in (similarities, positives)]
    head = trainer.dual_encoder
    expected = losses.get(name)(*tensors, head.scale(), head.bias())
    assert loss == pytest.approx(float(ops.convert_to_numpy(expected)), rel=1e-4)


def test_without_image_ids_the_pairs_are_the_diagonal(make_trainer, batch):
    trainer = make_trainer("standard")
    pairs = {name: value for name, value in batch.items() if name != "image_ids"}
    _, _, loss = loss_of(trainer, pairs)
    _, _, numbered = loss_of(trainer, {**pairs, "image_ids": np.arange(4, dtype="int32")})
    _, _, shared = loss_of(trainer, batch)
    assert loss == numbered != shared


def count_calls(model, monkeypatch):
    """Counts the passes through the towers by modality and `training`."""
    calls = []
    encode_images, encode_embeddings = model.encode_images, model.encode_text_embeddings

    def images(pixels, training=False, **options):
        calls.append(("images", training))
        return encode_images(pixels, training=training, **options)

    def texts(embeddings, padding_mask, training=False, **options):
        calls.append(("texts", training))
        return encode_embeddings(embeddings, padding_mask, training=training, **options)

    monkeypatch.setattr(model, "encode_images", images)
    monkeypatch.setattr(model, "encode_text_embeddings", texts)
    return calls


@pytest.mark.parametrize(
    "preset, images, texts, image_attacks, text_attacks",
    [
        ("standard", 1, 1, 0, 0),
        ("rocmr", 2, 2, 1, 1),
        ("rocmr_image_only", 2, 1, 1, 0),
        ("rocmr_text_only", 1, 2, 0, 1),
        ("tecoa", 1, 1, 1, 0),
        ("mmcoa", 2, 2, 1, 1),
        ("mat", 1, 1, 1, 1),
    ],
)
def test_a_term_of_weight_zero_costs_nothing(
    preset, images, texts, image_attacks, text_attacks, make_trainer, batch, monkeypatch
):
    trainer = make_trainer(preset)
    calls = count_calls(trainer.dual_encoder, monkeypatch)
    perturbed = trainer.perturb(batch, training=True)
    assert ("adversarial_images" in perturbed) == bool(image_attacks)
    assert ("text_perturbation" in perturbed) == bool(text_attacks)
    # One clean pass that gives both attacks their constants, and one for each step; but a
    # first step at the clean inputs takes that pass.
    attacked = bool(image_attacks or text_attacks)
    read_again = int(preset in ("mat", "rocmr"))
    assert calls.count(("images", False)) == attacked
    assert calls.count(("texts", False)) == attacked + read_again
    calls.clear()
    trainer(perturbed, training=True)
    assert sorted(calls) == [("images", True)] * images + [("texts", True)] * texts


@pytest.mark.parametrize("random_start, passes", [(False, 2), (True, 3)])
def test_two_steps(random_start, passes, make_trainer, make_attacks, batch, monkeypatch):
    trainer = make_trainer("mmcoa", **make_attacks(random_start, num_steps=2))
    calls = count_calls(trainer.dual_encoder, monkeypatch)
    trainer.perturb(batch, training=True)
    assert calls.count(("images", False)) == calls.count(("texts", False)) == passes


def test_the_first_step_is_the_same_without_the_recorded_pass(make_trainer, batch, monkeypatch):
    trainer = make_trainer("rocmr")
    perturbed = trainer.perturb(batch, training=True)
    monkeypatch.setattr(views_module, "_record", lambda *arguments: {})
    again = trainer.perturb(batch, training=True)
    for name in (
        "adversarial_images",
        "text_perturbation",
        "clean_image_embeddings",
        "clean_text_embeddings",
    ):
        found, expected = (ops.convert_to_numpy(one[name]) for one in (perturbed, again))
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_constant_clean_images(make_trainer, batch, monkeypatch):
    terms = {"clean": 0.5, "adversarial_pairs": 0.5}
    changing, constant = (
        make_trainer({**terms, "constant_clean_images": one}) for one in (False, True)
    )
    constant.dual_encoder.set_weights(changing.dual_encoder.get_weights())
    losses = [loss_of(trainer, batch)[2] for trainer in (changing, constant)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    calls = count_calls(constant.dual_encoder, monkeypatch)
    constant(constant.perturb(batch, training=True), training=True)
    assert calls.count(("images", True)) == 1
    calls.clear()
    # Validation encodes them as ever.
    constant(constant.perturb(batch, training=False), training=False)
    assert calls.count(("images", False)) == 3


def test_no_gradient_flows_through_constant_clean_images(make_trainer, batch):
    def moved(clean):
        trainer = make_trainer(
            {"clean": clean, "adversarial_images": 1e-9, "constant_clean_images": True}
        )
        keras.utils.set_random_seed(0)
        trainer.compile(keras.optimizers.SGD(1.0))
        before = trainer.dual_encoder.image_encoder.get_weights()
        trainer.train_on_batch(batch)
        after = trainer.dual_encoder.image_encoder.get_weights()
        return max(np.abs(new - old).max() for old, new in zip(before, after))

    assert moved(clean=1.0) < 1e-6


def test_mat_attacks_images_against_adversarial_texts(make_trainer, batch):
    seen = []

    def spy(embeddings, target):
        seen.append(ops.convert_to_numpy(target.gallery))
        return objectives.contrastive(embeddings, target)

    for preset, view in (("mmcoa", VIEWS[1]), ("mat", VIEWS[3])):
        seen.clear()
        trainer = make_trainer(preset, attack_objective=spy)
        views = all_views(trainer, trainer.perturb(batch, training=True))
        assert not np.allclose(views[VIEWS[1]], views[VIEWS[3]], atol=1e-4)
        np.testing.assert_allclose(seen[-1], views[view], atol=1e-6)
        np.testing.assert_allclose(seen[0], views["image_embeddings"], atol=1e-6)


@pytest.mark.parametrize("preset", [*RETRIEVING, "villa"])
def test_validation_runs_every_attack_given(preset, make_trainer, batch):
    perturbed = make_trainer(preset).perturb(batch, training=False)
    assert {"adversarial_images", "text_perturbation"} <= set(perturbed)


def test_attacks_raise_the_loss(make_trainer, batch):
    trainer = make_trainer("rocmr")
    perturbed, _, _ = loss_of(trainer, batch)
    views = all_views(trainer, perturbed)
    positives = batch["image_ids"][:, None] == batch["image_ids"]
    clean = softmax_loss(views["image_embeddings"] @ views["text_embeddings"].T, positives, 14.0)
    for images, texts in ((VIEWS[2], VIEWS[1]), (VIEWS[0], VIEWS[3])):
        assert softmax_loss(views[images] @ views[texts].T, positives, 14.0) > clean


def test_an_attack_moves_nothing_but_its_own_seed_and_counts(
    make_trainer, make_model, make_attacks, batch, state_of
):
    model = make_model(normalization="batch", dropout=0.5)
    trainer = make_trainer(model=model, **make_attacks(random_start=True))
    attacks = (trainer.image_attack, trainer.text_attack)
    before = state_of(model)
    seeds = [ops.convert_to_numpy(attack.seed_generator.state).copy() for attack in attacks]
    trainer.perturb(batch, training=True)
    for old, new in zip(before, state_of(model)):
        np.testing.assert_array_equal(old, new)
    for old, attack in zip(seeds, attacks):
        assert np.any(old != ops.convert_to_numpy(attack.seed_generator.state))


def test_config_holds_every_argument_and_rebuilds(make_trainer, batch, make_model):
    trainer = make_trainer(
        {"clean": 0.5, "adversarial_pairs": 0.5, "text_first": True},
        model=make_model(),
        loss=losses.HardestTriplet(0.3),
        attack_objective=objectives.margin,
    )
    config = trainer.get_config()
    parameters = inspect.signature(RoCMR.__init__).parameters.values()
    named = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert set(named[1:]) <= set(config)
    again = RoCMR.from_config(config)
    assert again.get_config() == config
    assert again.retrieval_loss.margin == 0.3
    assert again.attack_objective is objectives.margin
    again.dual_encoder.set_weights(trainer.dual_encoder.get_weights())
    assert loss_of(again, batch)[2] == pytest.approx(loss_of(trainer, batch)[2], rel=1e-6)


def test_named_attack_objective_survives_the_config(make_trainer, make_model):
    trainer = make_trainer("standard", model=make_model(), attack_objective="margin")
    assert RoCMR.from_config(trainer.get_config()).attack_objective == "margin"


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "standard"])
def test_terms_need_their_attacks(preset, make_flat_model):
    with pytest.raises(ValueError, match="need `(image|text)_attack`. Received: .*=None"):
        RoCMR(make_flat_model(), terms=preset)


def test_errors(make_trainer, make_flat_model, make_attacks):
    attacks = make_attacks()
    model = make_flat_model()
    swapped = attacks["text_attack"], attacks["image_attack"]
    with pytest.raises(ValueError, match="`image_attack` must perturb .*EmbeddingPGD"):
        RoCMR(model, *swapped)
    with pytest.raises(ValueError, match="`text_attack` must perturb texts.*PGD, .*images"):
        RoCMR(model, None, PGD(0.1), terms="standard")
    with pytest.raises(ValueError, match="must be a kind of Attack. Received: CharacterEdits"):
        RoCMR(model, None, CharacterEdits(), terms="standard")
    with pytest.raises(ValueError, match=r"not its class. Received: image_attack=PGD. Write .*\("):
        RoCMR(model, PGD, terms="standard")
    with pytest.raises(ValueError, match="`terms` must be one of"):
        make_trainer("trades")
    with pytest.raises(ValueError, match="`loss` must be one of"):
        make_trainer(loss="mse")
    with pytest.raises(ValueError, match="`terms` must"):
        RoCMR(model, terms=None)


@pytest.mark.parametrize("extra", [("targets",), ("targets", "weights")])
def test_targets_and_sample_weights_are_refused(extra, make_trainer, batch):
    trainer = make_trainer()
    with pytest.raises(ValueError, match=r"one dict, without targets .*\(dict, ndarray"):
        trainer.perturb((batch, *[np.ones(4)] * len(extra)), training=True)
    with pytest.raises(ValueError, match=r"Received: \(ndarray\)"):
        trainer.perturb(batch["images"], training=True)


def test_unknown_objective(make_trainer, batch):
    with pytest.raises(ValueError, match="`objective` must be one of"):
        make_trainer(attack_objective="entropy").perturb(batch, training=True)


def test_an_embedding_attack_serves_as_text_attack_without_image_attack(make_flat_model, batch):
    trainer = RoCMR(
        make_flat_model(),
        text_attack=EmbeddingPGD(0.3, num_steps=1, seed=0),
        terms="rocmr_text_only",
    )
    perturbed, views, _ = loss_of(trainer, batch, training=False)
    assert "adversarial_images" not in perturbed
    assert set(views) == {*VIEWS} - {"adversarial_image_embeddings"}


class Reversal(Attack):
    """A kind of its own: writes the words of a text from last to first."""

    side = "texts"
    batch_keys = ("token_ids", "padding_mask")

    def perturb(self, model, batch, goal):
        return {"adversarial_token_ids": self(batch["token_ids"])}

    def call(self, token_ids):
        return ops.flip(token_ids, axis=1)


def test_a_new_kind_of_text_attack_is_one_class(make_trainer, batch):
    trainer = make_trainer("mat", text_attack=Reversal())
    perturbed, views, _ = loss_of(trainer, batch)
    model, token_ids = trainer.dual_encoder, batch["token_ids"][:, ::-1]
    expected = model.encode_texts(token_ids.copy(), batch["padding_mask"])
    found = views["adversarial_text_embeddings"]
    np.testing.assert_allclose(*map(ops.convert_to_numpy, (found, expected)), atol=1e-5)
    with pytest.raises(AttributeError, match="cannot be changed"):
        trainer.text_attack.seed = 3


def test_serializable_by_name():
    assert keras.saving.get_registered_object("rocmr_keras>RoCMR") is RoCMR


def test_the_first_step_is_traced_once(make_trainer, batch, monkeypatch):
    trainer, traced = make_trainer(), []
    perturb = trainer.perturb
    monkeypatch.setattr(
        trainer, "perturb", lambda *args, **kwargs: traced.append(1) or perturb(*args, **kwargs)
    )
    trainer.compile(keras.optimizers.AdamW(1e-3))
    trainer.train_on_batch(batch)
    assert len(traced) == 1
