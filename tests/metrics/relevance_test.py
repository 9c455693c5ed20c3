import numpy as np
import pytest

from rocmr_keras.metrics.relevance import Relevance

QUERY_IDS = np.array([3, 1, 3, 8])
ITEM_IDS = np.array([1, 3, 9, 3, 1])
MASK = np.array([[0, 1, 0, 1, 0], [1, 0, 0, 0, 1], [0, 1, 0, 1, 0], [0, 0, 0, 0, 0]], bool)


@pytest.fixture(params=["ids", "lists"])
def relevance(request):
    if request.param == "ids":
        return Relevance.from_ids(QUERY_IDS, ITEM_IDS)
    return Relevance.from_lists([[3, 1], [0, 4], [1, 3], []], 5)


def test_mask_is_equality_of_ids(relevance):
    np.testing.assert_array_equal(relevance.mask(np.arange(4)), MASK)
    np.testing.assert_array_equal(relevance.mask([2, 1, 2]), MASK[[2, 1, 2]])


def test_counts(relevance):
    assert len(relevance) == 4 and relevance.counts.tolist() == [2, 2, 2, 0]
    assert relevance.counted.tolist() == [0, 1, 2]


def test_transpose(relevance):
    transposed = relevance.transpose()
    assert len(transposed) == 5 and transposed.num_items == 4
    np.testing.assert_array_equal(transposed.mask(np.arange(5)), MASK.T)
    np.testing.assert_array_equal(transposed.transpose().mask(np.arange(4)), MASK)


def test_take(relevance):
    rows, items = relevance.take(np.array([1, 3, 0]))
    assert rows.tolist() == [0, 0, 2, 2] and items.tolist() == [0, 4, 1, 3]


def test_an_item_is_not_its_own_match():
    relevance = Relevance.from_ids(QUERY_IDS, QUERY_IDS, exclude_self=True)
    assert relevance.counted.tolist() == [0, 2]
    np.testing.assert_array_equal(relevance.mask([0, 2]), [[0, 0, 1, 0], [1, 0, 0, 0]])
    np.testing.assert_array_equal(relevance.self_mask([0, 2]), [[1, 0, 0, 0], [0, 0, 1, 0]])
    assert relevance.transpose().exclude_self


@pytest.mark.parametrize("bad", [[5], [-1], [1, 1], [0.5], [[1]]])
def test_wrong_lists(bad):
    with pytest.raises(ValueError, match=r"`ground_truth\[1\]` must hold .*Received: .*none twice"):
        Relevance.from_lists([[0], bad], 5)
