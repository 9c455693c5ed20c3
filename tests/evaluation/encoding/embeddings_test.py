import numpy as np
import pytest

from rocmr_keras.evaluation import encode
from rocmr_keras.metrics import query_ranks


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
