import numpy as np
import pytest

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.evaluation import encode
from rocmr_keras.evaluation import encode_attacked
from rocmr_keras.metrics import query_ranks

PALE = [2, 4]


@pytest.fixture(scope="module")
def clean(model, split):
    return encode(model, split, batch_size=4, verbose=0)


def naive_rank(scores, is_positive):
    """One plus the negatives that score at least as high as the best positive."""
    return 1 + int(np.sum(scores[~is_positive] >= scores[is_positive].max()))


def test_embeddings_are_those_of_the_model(clean, model, split):
    images = split.images.astype("float32") / 255
    expected = images.mean(axis=(1, 2)) - 0.5
    expected /= np.linalg.norm(expected, axis=-1, keepdims=True)
    np.testing.assert_allclose(clean.images, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(clean.texts, axis=1), 1.0, atol=1e-5)
    assert clean.texts.shape == (10, 3)
    np.testing.assert_array_equal(clean.image_ids, split.image_ids)
    np.testing.assert_array_equal(clean.text_ids, split.caption_image_ids)
    # "a red square" and "the red thing".
    np.testing.assert_allclose(clean.texts[0], clean.texts[6], atol=1e-6)


@pytest.mark.processor
def test_ranks_equal_the_naive_ones(clean):
    scores = clean.images @ clean.texts.T
    expected = [naive_rank(row, clean.text_ids == id_) for row, id_ in zip(scores, clean.image_ids)]
    ranks = query_ranks(clean.images, clean.texts, clean.image_ids, clean.text_ids)
    assert ranks.tolist() == expected
    assert expected[:6] == [1] * 6 and expected[6] > 1


@pytest.mark.processor
def test_what_fills_the_last_batch_does_not_leak(clean, model, split):
    whole = encode(model, split, batch_size=10, verbose=0)
    np.testing.assert_allclose(clean.images, whole.images, atol=1e-6)
    np.testing.assert_allclose(clean.texts, whole.texts, atol=1e-6)


def attack_images(model, split, clean, batch_size, **options):
    attack = PGD(0.2, num_steps=3, random_start=False)
    settings = {"batch_size": batch_size, "verbose": 0, **options}
    return encode_attacked(model, split, "images", attack, clean, **settings)


@pytest.fixture(scope="module")
def attacked(model, split, clean):
    return attack_images(model, split, clean, 4)


def test_attacked_images_stay_in_the_budget_and_flip_the_pale_ones(attacked, split, clean):
    images = split.images.astype("float32") / 255
    found = attacked["adversarial_images"]
    assert found.shape == images.shape
    assert np.abs(found - images).max() <= 0.2 + 1e-6
    assert found.min() >= 0.0 and found.max() <= 1.0
    before = images.mean(axis=(1, 2)) > 0.5
    after = found.mean(axis=(1, 2)) > 0.5
    crossed = (before != after).any(axis=1)
    assert np.flatnonzero(crossed[:6]).tolist() == PALE
    assert attacked["stalled_share"] == 0.0


@pytest.mark.processor
def test_the_batch_size_changes_nothing(attacked, model, split, clean):
    again = attack_images(model, split, clean, 7)
    np.testing.assert_allclose(
        again["adversarial_images"], attacked["adversarial_images"], atol=1e-6
    )
    np.testing.assert_allclose(again["embeddings"], attacked["embeddings"], atol=1e-5)


def test_the_attacked_images_can_be_left_out(attacked, model, split, clean):
    found = attack_images(model, split, clean, 4, keep_inputs=False)
    assert set(found) == {"embeddings", "stalled_share"}
    np.testing.assert_array_equal(found["embeddings"], attacked["embeddings"])


def test_indices_choose_the_queries(attacked, model, split, clean):
    found = attack_images(model, split, clean, 4, indices=np.array([5, 2]))
    np.testing.assert_allclose(found["embeddings"], attacked["embeddings"][[5, 2]], atol=1e-5)


def test_attacked_tokens(model, split, clean, preprocessor):
    attack = TokenSubstitution(1, num_candidates=8)
    found = encode_attacked(model, split, "texts", attack, clean, batch_size=10, verbose=0)
    tokens = preprocessor.tokenize(split.captions)["token_ids"]
    changed = found["adversarial_token_ids"] != tokens
    assert (changed.sum(axis=1) == 1).all()
    assert not np.isin(tokens[changed], preprocessor.special_token_ids).any()
    np.testing.assert_array_equal(found["adversarial_token_ids"].dtype, np.int32)


def test_the_attack_given_is_not_used_up(model, split, clean):
    attack = EmbeddingPGD(0.9, num_steps=1, seed=4)
    runs = [
        encode_attacked(model, split, "texts", attack, clean, batch_size=10, verbose=0)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(runs[0]["text_perturbation"], runs[1]["text_perturbation"])
    assert attack.stalled_share == 0.0


def test_an_attack_on_the_other_side_is_an_error(model, split, clean):
    with pytest.raises(ValueError, match="`attack` must perturb texts. Received: PGD"):
        encode_attacked(model, split, "texts", PGD(0.1), clean, verbose=0)
