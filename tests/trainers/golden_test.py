"""Numbers that must be the same on every backend; `golden.json` holds them.

`golden.py` writes them anew, and says when it may.
"""

import json
import pathlib

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.trainers import RoCMR

pytestmark = pytest.mark.processor

GOLDEN = pathlib.Path(__file__).parent / "golden.json"
PRESETS = ("fare", "leaf", "villa")


@pytest.fixture(scope="module")
def three_steps(make_model, make_batch, assign_weights):
    """Three steps of AdamW on a batch that repeats tokens, and what was found before them."""
    model = make_model(normalization="batch")
    assign_weights(model)
    model.similarity_head.logit_scale.assign(2.6)
    batch = make_batch()
    batch["token_ids"][:, 1] = 7
    options = {"random_start": False, "keep_best": False, "seed": 0}
    trainer = RoCMR(
        model,
        image_attack=PGD(0.05, num_steps=3, **options),
        text_attack=EmbeddingPGD(0.3, num_steps=1, **options),
        terms=dict.fromkeys(
            ("clean", "adversarial_images", "adversarial_texts", "adversarial_pairs"), 0.25
        ),
    )
    perturbed = trainer.perturb(batch, training=True)
    # The large epsilon: Adam's first steps are else the signs of gradients, some of which
    # are zero but for rounding.
    trainer.compile(keras.optimizers.AdamW(1e-2, epsilon=1e-2))
    losses = []
    for _ in range(3):
        trainer.reset_metrics()
        losses.append(float(trainer.train_on_batch(batch, return_dict=True)["loss"]))
    images = ops.convert_to_numpy(perturbed["adversarial_images"]).astype("float64")
    texts = ops.convert_to_numpy(perturbed["text_perturbation"]).astype("float64")
    weighted = images * np.arange(images.size).reshape(images.shape) / images.size
    table = ops.convert_to_numpy(model.text_encoder.embedding_table)
    return {
        "losses": losses,
        "embedding_of_the_repeated_token": table[7].tolist(),
        "scale": float(ops.convert_to_numpy(model.scale())),
        "mean_of_adversarial_images": float(images.mean()),
        "weighted_mean_of_adversarial_images": float(weighted.mean()),
        "moved_pixels": int(np.sum(np.abs(images - batch["images"]) > 1e-6)),
        "mean_size_of_text_perturbation": float(np.abs(texts).mean()),
    }


@pytest.fixture(scope="module")
def loss_of(make_model, make_batch, make_trainer, make_anchored, assign_weights):
    """The loss of a preset on views that are given: random draws differ between backends."""

    def loss_of(preset):
        model, batch = make_model(normalization="batch"), make_batch()
        assign_weights(model)
        model.similarity_head.logit_scale.assign(2.6)
        make = make_trainer if preset == "villa" else make_anchored
        trainer = make(preset, model=model)
        shift = np.random.RandomState(1).uniform(-0.05, 0.05, size=batch["images"].shape)
        moved = {**batch, "adversarial_images": (batch["images"] + shift).astype("float32")}
        rows = 0.05 * np.random.RandomState(2).normal(size=(4, 6, 8)).astype("float32")
        moved["text_perturbation"] = rows
        options = {"training": False, "normalize": False}
        moved["reference_image_embeddings"] = model.encode_images(batch["images"], **options)
        tokens = batch["token_ids"], batch["padding_mask"]
        moved["reference_text_embeddings"] = model.encode_texts(*tokens, **options)
        views = trainer(moved, training=False)
        return float(ops.convert_to_numpy(trainer.compute_loss(x=moved, y_pred=views)))

    return loss_of


@pytest.fixture(scope="module")
def figures(three_steps, loss_of):
    """All that `golden.json` holds, computed anew."""
    return {**three_steps, **{f"loss_of_{preset}": loss_of(preset) for preset in PRESETS}}


@pytest.fixture(scope="module")
def golden():
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "name, tolerance",
    [
        ("losses", 1e-4),
        ("embedding_of_the_repeated_token", 1e-4),
        ("scale", 1e-4),
        ("mean_of_adversarial_images", 1e-5),
        ("weighted_mean_of_adversarial_images", 1e-5),
        ("moved_pixels", 0),
        ("mean_size_of_text_perturbation", 1e-5),
    ],
)
def test_equal_to_the_golden_file(name, tolerance, figures, golden):
    np.testing.assert_allclose(figures[name], golden[name], rtol=tolerance, atol=tolerance)


def test_training_on_repeated_tokens_reduces_the_loss(figures):
    assert figures["losses"][2] < figures["losses"][0]


@pytest.mark.parametrize("preset", PRESETS)
def test_losses_of_the_presets_that_keep_to_a_reference(preset, figures, golden):
    name = f"loss_of_{preset}"
    assert figures[name] == pytest.approx(golden[name], rel=1e-4)
