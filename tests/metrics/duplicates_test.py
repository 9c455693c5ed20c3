import numpy as np
import pytest

from rocmr_keras.metrics import Relevance
from rocmr_keras.metrics import duplicate_captions
from rocmr_keras.metrics import merged_relevance

CAPTIONS = ["A cat", "two cats", "a cat ", "a dog", "A DOG", "a dog", "a bird"]
IDS = [0, 0, 1, 2, 3, 3, 4]
DIRECTIONS = ("image_to_text", "text_to_image")


def by_ids(caption_ids, image_ids):
    forward = Relevance.from_ids(np.asarray(image_ids), np.asarray(caption_ids))
    return dict(zip(DIRECTIONS, (forward, forward.transpose()), strict=True))


def test_by_hand():
    """Images 1, 2 and 3 have no caption of their own; "a dog" is right two times of three."""
    found = duplicate_captions(CAPTIONS, IDS, by_ids(IDS, range(5)))
    assert found["count"] == 5
    assert found["ceiling"] == {"image_to_text": 2 / 5, "text_to_image": 5 / 7}


def test_merged_by_hand():
    merged = merged_relevance(CAPTIONS, IDS, range(5))
    expected = np.zeros((7, 5), "bool")
    expected[[0, 2], :2] = expected[1, 0] = expected[3:6, 2:4] = expected[6, 4] = True
    np.testing.assert_array_equal(merged["text_to_image"].mask(range(7)), expected)
    np.testing.assert_array_equal(merged["image_to_text"].mask(range(5)), expected.T)
    assert duplicate_captions(CAPTIONS, IDS, merged) == {
        "count": 5,
        "ceiling": {"image_to_text": 1.0, "text_to_image": 1.0},
    }


def test_copies_under_one_id_do_no_harm():
    found = duplicate_captions(["a", "A", "b"], [0, 0, 1], by_ids([0, 0, 1], [0, 1]))
    assert found == {"count": 0, "ceiling": {"image_to_text": 1.0, "text_to_image": 1.0}}


@pytest.mark.parametrize("seed", range(5))
def test_the_ceiling_is_reached(seed):
    """By a model that sees every caption but not its capitals, ranked as the metrics rank."""
    draw = np.random.default_rng(seed)
    image_ids = np.concatenate([np.arange(6), draw.integers(0, 6, 3)])
    caption_ids = np.concatenate([np.arange(6), draw.integers(0, 6, 8)])
    captions = [f"{'Cat'[: draw.integers(1, 4)]}" for _ in caption_ids]
    relevance = by_ids(caption_ids, image_ids)
    ceiling = duplicate_captions(captions, caption_ids, relevance)["ceiling"]
    texts = np.array([caption.lower() for caption in captions])
    right = relevance["text_to_image"].mask(np.arange(len(captions)))
    best = sum(right[texts == text].sum(axis=0).max() for text in set(texts))
    assert ceiling["text_to_image"] == pytest.approx(best / len(captions))
    alone = [
        any(right[texts == text, image].all() for text in set(texts[right[:, image]]))
        for image in range(len(image_ids))
    ]
    assert ceiling["image_to_text"] == pytest.approx(np.mean(alone))
