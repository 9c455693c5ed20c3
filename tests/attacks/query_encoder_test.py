import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import APGD
from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import CharacterChoice
from rocmr_keras.attacks import CharacterEdits
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.attacks import Goal
from rocmr_keras.attacks import QueryEncoder
from rocmr_keras.attacks import Square
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.attacks import objectives


def rows_of(batch, rows):
    return {name: values[rows] for name, values in batch.items()}


@pytest.mark.parametrize("side", ["images", "texts"])
def test_clean_queries(side, model, batch):
    encoded = QueryEncoder(model, side).predict_on_batch(batch)
    assert set(encoded) == {"embeddings"}
    expected = model(batch)[f"{side[:-1]}_embeddings"]
    np.testing.assert_allclose(encoded["embeddings"], ops.convert_to_numpy(expected), atol=1e-6)


ATTACKS = {
    "adversarial_images": PGD(0.2, 1, random_start=False),
    "text_perturbation": EmbeddingPGD(0.5, 1, random_start=False),
    "adversarial_token_ids": TokenSubstitution(num_candidates=8),
}


@pytest.mark.parametrize("found", ATTACKS)
def test_queries_do_not_depend_on_each_other(found, model, batch, gallery, gallery_ids):
    side = ATTACKS[found].side
    encoder = QueryEncoder(model, side, ATTACKS[found], gallery=gallery, gallery_ids=gallery_ids)
    together = encoder.predict_on_batch(batch)
    assert set(together) == {"embeddings", found}
    clean = ops.convert_to_numpy(model(batch)[f"{side[:-1]}_embeddings"])
    assert np.abs(together["embeddings"] - clean)[:3].max(axis=1).min() > 0.01
    reversed_batch = encoder.predict_on_batch(rows_of(batch, slice(None, None, -1)))
    alone = encoder.predict_on_batch(rows_of(batch, slice(1, 2)))
    for name in together:
        np.testing.assert_allclose(reversed_batch[name][::-1], together[name], atol=1e-5)
        np.testing.assert_allclose(alone[name], together[name][1:2], atol=1e-5)


@pytest.mark.parametrize(
    "kind, num_steps, gradients", [(PGD, 2, 8.0), (APGD, 5, 24.0), (Square, 25, 0.0)]
)
def test_attack_is_that_of_perturb(
    kind, num_steps, gradients, model, batch, gallery, gallery_ids, make_target
):
    attack, twin = (kind(0.2, num_steps, seed=0) for _ in range(2))
    encoder = QueryEncoder(
        model, "images", attack, "margin", gallery=gallery, gallery_ids=gallery_ids
    )
    first = encoder.predict_on_batch(batch)
    found = first["adversarial_images"]
    expected = twin.perturb(model, batch, Goal(make_target(), "margin"))["adversarial_images"]
    np.testing.assert_allclose(found, ops.convert_to_numpy(expected), atol=1e-5)
    encoded = model.encode_images(found)
    np.testing.assert_allclose(first["embeddings"], ops.convert_to_numpy(encoded), atol=1e-5)
    margins = [
        ops.convert_to_numpy(objectives.margin(model.encode_images(images), make_target()))
        for images in (batch["images"], found)
    ]
    assert np.all(margins[1] >= margins[0] - 1e-6)
    # The compiled step hands the attack's seed and counts on.
    second = encoder.predict_on_batch(batch)["adversarial_images"]
    assert np.any(second != found)
    assert float(ops.convert_to_numpy(attack.total_gradients.value)) == 2 * gradients


def test_bad_arguments(model, gallery, gallery_ids):
    known = {"gallery": gallery, "gallery_ids": gallery_ids}
    for arguments, options, message in (
        (("captions",), {}, "`side` must be.*Received: side='captions'"),
        (
            ("texts", PGD(0.1)),
            known,
            "`attack` must perturb texts. Received: PGD, .* perturbs images",
        ),
        (("images", TokenSubstitution()), known, "perturbs texts. Use e.g. PGD"),
        (("texts", CharacterChoice()), known, r"do without \['candidate_padding_mask', 'candid"),
        (("texts", CharacterEdits()), known, "must be a kind of Attack. Received: CharacterEdits"),
        (("images", PGD), known, r"not its class. Received: attack=PGD. Write e.g. PGD\(...\)"),
        (("images", PGD(0.1)), {"gallery_ids": gallery_ids}, "Received: gallery=None"),
    ):
        with pytest.raises(ValueError, match=message):
            QueryEncoder(model, *arguments, **options)


def test_something_must_tell_which_items_are_right(model, batch, gallery, gallery_ids):
    encoders = [
        QueryEncoder(model, "images", PGD(0.1, 1, random_start=False), gallery=gallery, **options)
        for options in ({}, {"gallery_ids": gallery_ids})
    ]
    for encoder in encoders:
        encoder.run_eagerly = True
    with pytest.raises(ValueError, match="Received: gallery_ids=None and a batch without"):
        encoders[0].predict_on_batch(batch)
    positives = batch["image_ids"][:, None] == gallery_ids
    by_mask = encoders[0].predict_on_batch({**batch, "positives": positives})
    by_ids = encoders[1].predict_on_batch(batch)
    np.testing.assert_array_equal(by_mask["embeddings"], by_ids["embeddings"])
