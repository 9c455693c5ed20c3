"""Presets that keep to a frozen reference, or to their own clean logits."""

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import CharacterChoice
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.trainers import RoCMR
from rocmr_keras.trainers.terms import VIEWS


def with_unnormalized(view):
    return {view, f"unnormalized_{view}"}


def to_numpy(value):
    return ops.convert_to_numpy(value).astype("float64")


def loss_of(trainer, batch, training=True):
    perturbed = trainer.perturb(batch, training=training)
    views = trainer(perturbed, training=training)
    loss = trainer.compute_loss(x=perturbed, y_pred=views, training=training)
    return perturbed, views, float(ops.convert_to_numpy(loss))


def distance(moved, clean):
    return np.mean(np.sum((to_numpy(moved) - to_numpy(clean)) ** 2, axis=1))


def test_unnormalized_embeddings_point_the_same_way(make_flat_model, batch):
    model = make_flat_model()
    tokens = batch["token_ids"], batch["padding_mask"]
    for unit, raw in (
        (model.encode_images(batch["images"]), model.encode_images(batch["images"], False, False)),
        (model.encode_texts(*tokens), model.encode_texts(*tokens, normalize=False)),
    ):
        length = np.linalg.norm(to_numpy(raw), axis=1, keepdims=True)
        assert np.abs(length - 1.0).max() > 0.01
        np.testing.assert_allclose(to_numpy(raw) / length, to_numpy(unit), atol=1e-5)


def test_fare_is_the_distance_of_adversarial_images_to_the_reference(make_anchored, batch):
    trainer = make_anchored("fare", num_steps=3)
    perturbed, views, loss = loss_of(trainer, batch)
    # No caption is read, no pair compared.
    assert set(views) == with_unnormalized("adversarial_image_embeddings")
    assert not {"clean_image_embeddings", "reference_text_embeddings"} & set(perturbed)
    model, reference = trainer.dual_encoder, trainer.reference
    clean = reference.encode_images(batch["images"], normalize=False)
    moved = model.encode_images(perturbed["adversarial_images"], normalize=False)
    assert loss == pytest.approx(distance(moved, clean), rel=1e-4) and loss > 0
    noise = np.random.RandomState(0).choice([-0.05, 0.05], size=batch["images"].shape)
    noisy = (batch["images"] + noise).clip(0, 1).astype("float32")
    assert loss > distance(model.encode_images(noisy, normalize=False), clean)


def test_leaf_is_the_same_of_texts(make_anchored, batch):
    trainer = make_anchored("leaf")
    perturbed, views, loss = loss_of(trainer, batch)
    assert set(views) == with_unnormalized("adversarial_text_embeddings")
    model, reference = trainer.dual_encoder, trainer.reference
    tokens = batch["token_ids"], batch["padding_mask"]
    clean = reference.encode_texts(*tokens, normalize=False)
    rows = model.embed_tokens(batch["token_ids"]) + perturbed["text_perturbation"]
    moved = model.encode_text_embeddings(rows, batch["padding_mask"], normalize=False)
    assert loss == pytest.approx(distance(moved, clean), rel=1e-4) and loss > 0


def test_leaf_with_tokens_finds_the_farthest_of_its_candidates(make_anchored, batch):
    attack = TokenSubstitution(1, num_candidates=80, random_start=True, seed=0)
    trainer = make_anchored("leaf", text_attack=attack)
    perturbed, _, loss = loss_of(trainer, batch)
    found = ops.convert_to_numpy(perturbed["adversarial_token_ids"])
    assert np.all(np.sum(found != batch["token_ids"], axis=1) == 1)
    # With 80 candidates of 16 tokens at up to 4 positions, all swaps were tried.
    model, clean = trainer.dual_encoder, to_numpy(perturbed["reference_text_embeddings"])
    farthest = np.zeros(4)
    for position in range(6):
        allowed = batch["token_ids"][:, position] > 3
        for token in range(4, 20):
            swapped = batch["token_ids"].copy()
            swapped[:, position] = np.where(allowed, token, swapped[:, position])
            texts = model.encode_texts(swapped, batch["padding_mask"], normalize=False)
            farthest = np.maximum(farthest, np.sum((to_numpy(texts) - clean) ** 2, axis=1))
    assert loss == pytest.approx(farthest.mean(), rel=1e-4)


def test_leaf_with_characters_measures_what_was_chosen(make_anchored, batch):
    trainer = make_anchored("leaf", text_attack=CharacterChoice(seed=0))
    edited = np.repeat(batch["token_ids"][:, None, None], 3, axis=1).repeat(2, axis=2)
    edited[:, :, :, 1] = np.random.RandomState(0).randint(4, 20, size=(4, 3, 2))
    # The last edit of each place makes a shorter text.
    edited[:, :, 1, 3:] = 0
    batch = {**batch, "candidate_token_ids": edited, "candidate_padding_mask": edited != 0}
    perturbed, views, loss = loss_of(trainer, batch)
    found = ops.convert_to_numpy(perturbed["adversarial_token_ids"])
    mask = ops.convert_to_numpy(perturbed["adversarial_padding_mask"])
    np.testing.assert_array_equal(mask, found != 0)
    assert all(any(np.array_equal(x, y) for y in e.reshape(6, 6)) for x, e in zip(found, edited))
    moved = trainer.dual_encoder.encode_texts(found, mask, normalize=False)
    clean = to_numpy(perturbed["reference_text_embeddings"])
    assert loss == pytest.approx(distance(moved, clean), rel=1e-4) and loss > 0


def test_drift_is_measured_on_clean_inputs(make_flat_model, batch):
    model, reference = make_flat_model(), make_flat_model()
    trainer = RoCMR(model, terms={"image_drift": 0.5, "text_drift": 2.0, "clean": 1.0})
    assert trainer.reference is not model
    trainer = RoCMR(model, terms=trainer.terms, reference=reference)
    assert trainer.reference is reference and not reference.trainable_weights
    _, views, loss = loss_of(trainer, batch)
    _, _, clean = loss_of(RoCMR(model, terms="standard"), batch)
    tokens = batch["token_ids"], batch["padding_mask"]
    images = reference.encode_images(batch["images"], normalize=False)
    texts = reference.encode_texts(*tokens, normalize=False)
    expected = clean + 0.5 * distance(views["unnormalized_image_embeddings"], images)
    expected += 2.0 * distance(views["unnormalized_text_embeddings"], texts)
    assert loss == pytest.approx(expected, rel=1e-4)


def test_villa_adds_the_divergence_of_the_logits(make_trainer, batch):
    trainer = make_trainer("villa")
    perturbed, views, loss = loss_of(trainer, batch)
    plain = RoCMR(
        trainer.dual_encoder,
        trainer.image_attack,
        trainer.text_attack,
        terms={"clean": 0.5, "adversarial_images": 0.25, "adversarial_texts": 0.25},
    )
    own = float(to_numpy(plain.compute_loss(x=perturbed, y_pred=views)))
    scale = float(to_numpy(trainer.dual_encoder.scale()))
    images, texts, moved_images, moved_texts = (to_numpy(views[name]) for name in VIEWS)
    clean, total = scale * images @ texts.T, 0.0
    for other in (scale * moved_images @ texts.T, scale * images @ moved_texts.T):
        for p, q in ((clean, other), (clean.T, other.T)):
            p, q = (np.exp(x) / np.exp(x).sum(1, keepdims=True) for x in (p, q))
            total += np.mean(np.sum((p - q) * np.log(p / q), axis=1)) / 4
    assert total > 1e-3
    assert loss == pytest.approx(own + 0.5 * total, rel=1e-4)


def test_fare_trains_one_tower_and_nothing_else(make_anchored, make_model, make_batch, tmp_path):
    """One compiled run: EMA, weight decay, batch statistics, saved and resumed."""
    model = make_model(normalization="batch", projection_dim=6)
    tower = model.image_encoder
    trainer = make_anchored("fare", model)
    assert model.image_encoder is tower and trainer.dual_encoder is model
    optimizer = keras.optimizers.AdamW(0.02, weight_decay=0.1, use_ema=True, ema_momentum=0.5)
    trainer.compile(optimizer)
    others = [*model.text_encoder.weights, *model.text_projection.weights]
    others += [*model.similarity_head.weights, *trainer.reference.weights]
    before = [to_numpy(weight) for weight in others]
    trained = [to_numpy(weight) for weight in tower.weights]
    # The average takes the place of the weights when `fit` ends.
    history = trainer.fit(make_batch(8), batch_size=4, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    # Nothing was retrieved in training, so no recall is told.
    assert set(history) == {"loss"}
    for weight, old in zip(others, before):
        np.testing.assert_array_equal(to_numpy(weight), old, err_msg=weight.path)
    for weight, old in zip(tower.weights, trained):
        assert np.any(to_numpy(weight) != old), weight.path
    trainer.save(tmp_path / "trainer.keras")
    again = keras.saving.load_model(tmp_path / "trainer.keras")
    images = make_batch(8)["images"]
    for ours, theirs in (
        (trainer.reference, again.reference),
        (trainer.dual_encoder, again.dual_encoder),
    ):
        embeddings = [to_numpy(x.encode_images(images, normalize=False)) for x in (ours, theirs)]
        np.testing.assert_allclose(*embeddings, atol=1e-5)
    assert not again.reference.trainable_weights
    shapes = [[weight.shape for weight in x.trainable_weights] for x in (trainer, again)]
    assert shapes[0] == shapes[1] and len(again.optimizer.variables) == len(optimizer.variables)
    logs = trainer.evaluate(make_batch(8), batch_size=8, return_dict=True, verbose=0)
    assert set(logs) == {"loss", "recall_at_1", "adversarial_recall_at_1"}


def test_validation_runs_the_other_attack_too(make_anchored, batch):
    trainer = make_anchored("fare", text_attack=EmbeddingPGD(0.3, num_steps=1, seed=0))
    _, views, loss = loss_of(trainer, batch, training=False)
    assert set(views) >= {*VIEWS}
    assert np.isfinite(loss)


def test_config_and_given_objective(make_anchored, batch):
    trainer = make_anchored("fare", attack_objective="contrastive")
    perturbed, _, _ = loss_of(trainer, batch)
    assert "clean_text_embeddings" in perturbed
    again = RoCMR.from_config(trainer.get_config())
    assert again.get_config() == trainer.get_config()
    assert not again.reference.trainable_weights
    assert not any("text" in weight.path for weight in again.trainable_weights)


def test_errors(make_flat_model, make_anchored):
    model = make_flat_model()
    with pytest.raises(ValueError, match=r'Call model.freeze\(texts="all", similarity=True\)'):
        RoCMR(model, PGD(0.1, num_steps=1), terms="fare")
    with pytest.raises(ValueError, match=r'freeze\(images="all", similarity=True\)'):
        RoCMR(model, text_attack=EmbeddingPGD(0.1), terms="leaf")
    with pytest.raises(ValueError, match="must start at random.*PGD with random_start=False"):
        make_anchored("fare", image_attack=PGD(0.1, random_start=False))
    with pytest.raises(ValueError, match="must start at random.*TokenSubstitution"):
        make_anchored("leaf", text_attack=TokenSubstitution(1))
    with pytest.raises(ValueError, match="must share no trained weight"):
        RoCMR(model, terms={"clean": 1.0, "image_drift": 1.0}, reference=model)
