import numpy as np
import pytest

from rocmr_keras.attacks import PGD
from rocmr_keras.evaluation import EncodedSplit
from rocmr_keras.evaluation import SearchedGallery
from rocmr_keras.evaluation import Threat
from rocmr_keras.metrics import Relevance

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="module")
def encoded(model, split):
    return EncodedSplit(model, split, batch_size=4, verbose=0)


def test_another_batch_size_encodes_nothing_again(encoded):
    other = encoded.batched(2)
    assert (other.batch_size, encoded.batch_size) == (2, 4)
    assert other.clean is encoded.clean and other.directions == encoded.directions


@pytest.mark.parametrize("direction", ["image_to_text", "text_to_image"])
def test_a_gallery_is_the_other_modality_with_its_ground_truth(direction, encoded):
    searched, clean = encoded.searched(direction), encoded.clean
    ids = {"images": clean.image_ids, "texts": clean.text_ids}
    queries, items = ("images", "texts")[:: 1 if direction == "image_to_text" else -1]
    assert searched.embeddings is encoded.embeddings(items)
    expected = ids[queries][:, None] == ids[items]
    mask = searched.relevance.mask(np.arange(len(ids[queries])))
    np.testing.assert_array_equal(mask, expected)


def test_only_queries_with_a_right_item_are_attacked(encoded):
    clean = encoded.clean
    lists = [[0], [], [2], [], [], [], []]
    searched = SearchedGallery(clean.texts, Relevance.from_lists(lists, len(clean.texts)))
    threat = Threat(PGD(0.2, num_steps=3, random_start=False))
    found, stalled = encoded.attack(threat, "images", searched)
    moved = np.any(found != clean.images, axis=1)
    assert np.flatnonzero(moved).tolist() == [0, 2] and stalled == 0.0
