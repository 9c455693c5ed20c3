import numpy as np
import pytest

from rocmr_keras.metrics import map_at_r
from rocmr_keras.metrics import query_ranks
from rocmr_keras.metrics.ranking import rank_both
from rocmr_keras.metrics.ranking import rank_matches
from rocmr_keras.metrics.relevance import Relevance

pytestmark = pytest.mark.processor


def naive(scores, right, ignored):
    """One query: sorts the gallery, right items last among equals, and reads down the list."""
    kept = np.flatnonzero(~ignored)
    order = kept[np.lexsort((right[kept], -scores[kept]))]
    hits = right[order]
    size = right[kept].sum()
    precision = np.cumsum(hits) / np.arange(1, len(order) + 1)
    wrong_before_first = np.flatnonzero(hits)[0]
    return 1 + wrong_before_first, np.sum((precision * hits)[:size]) / size


def naive_all(queries, gallery, relevance, matches=None):
    scores = queries @ gallery.T
    ranks, precisions = [], []
    for query in relevance.counted:
        right = relevance.mask([query])[0]
        row = scores[query].copy()
        if matches is not None:
            row[right] = (matches @ queries[query])[right]
        ignored = np.zeros(len(right), bool)
        if relevance.exclude_self:
            ignored[query] = True
        rank, precision = naive(row, right, ignored)
        ranks.append(rank)
        precisions.append(precision)
    return np.array(ranks), np.array(precisions)


def embeddings(kind, count, seed):
    """Integers are full of ties, which float32 multiplies without error."""
    rng = np.random.default_rng(seed)
    if kind == "ties":
        return rng.integers(-1, 2, (count, 6)).astype("float32")
    rows = rng.normal(size=(count, 6))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("float32")


def random_lists(seed):
    rng = np.random.default_rng(seed)
    return [rng.choice(40, size, replace=False) for size in rng.integers(0, 9, 30)]


@pytest.mark.parametrize("block_size", [1, 7, 1024])
@pytest.mark.parametrize("kind", ["ties", "unit"])
def test_equals_the_sorted_list(kind, block_size):
    for seed in range(3):
        queries, gallery = embeddings(kind, 30, seed), embeddings(kind, 40, seed + 9)
        relevance = Relevance.from_lists(random_lists(seed), 40)
        ranking = rank_matches(queries, gallery, relevance, block_size=block_size)
        ranks, precisions = naive_all(queries, gallery, relevance)
        np.testing.assert_array_equal(ranking.queries, relevance.counted)
        np.testing.assert_array_equal(ranking.ranks, ranks)
        np.testing.assert_allclose(ranking.average_precision, precisions, atol=1e-12)
        assert ranking.ranks.dtype == np.int64 and 0 < len(relevance.counted) < 30


@pytest.mark.parametrize("block_size", [7, 1024])
@pytest.mark.parametrize("kind", ["ties", "unit"])
def test_a_gallery_that_is_the_queries(kind, block_size):
    items = embeddings(kind, 30, 1)
    ids = np.random.default_rng(1).integers(0, 12, 30)
    relevance = Relevance.from_ids(ids, ids, exclude_self=True)
    ranking = rank_matches(items, items, relevance, block_size=block_size)
    ranks, precisions = naive_all(items, items, relevance)
    np.testing.assert_array_equal(ranking.ranks, ranks)
    np.testing.assert_allclose(ranking.average_precision, precisions, atol=1e-12)


@pytest.mark.parametrize("kind", ["ties", "unit"])
def test_right_items_of_another_gallery(kind):
    """The wrong ones stay where they were."""
    queries, gallery = embeddings(kind, 30, 4), embeddings(kind, 40, 5)
    attacked = embeddings(kind, 40, 6)
    relevance = Relevance.from_lists(random_lists(2), 40)
    ranking = rank_matches(queries, gallery, relevance, matches=attacked, block_size=16)
    ranks, precisions = naive_all(queries, gallery, relevance, attacked)
    np.testing.assert_array_equal(ranking.ranks, ranks)
    np.testing.assert_allclose(ranking.average_precision, precisions, atol=1e-12)
    assert np.any(ranks != naive_all(queries, gallery, relevance)[0])


@pytest.mark.parametrize("block_size", [7, 1024])
@pytest.mark.parametrize("kind", ["ties", "unit"])
def test_both_ways_equal_one_way_after_the_other(kind, block_size):
    """Also where the lists of one way are not those of the other."""
    for seed in range(3):
        queries, gallery = embeddings(kind, 30, seed), embeddings(kind, 40, seed + 9)
        relevance = Relevance.from_lists(random_lists(seed), 40)
        others = np.random.default_rng(seed).permutation(40)
        lists = [[item % 30, (item + 7) % 30][: item % 3] for item in others]
        other = Relevance.from_lists(lists, 30)
        for reverse in (relevance.transpose(), other):
            rankings = rank_both(queries, gallery, relevance, reverse, block_size=block_size)
            forward = rank_matches(queries, gallery, relevance)
            backward = rank_matches(gallery, queries, reverse)
            for ranking, expected in zip(rankings, (forward, backward), strict=True):
                np.testing.assert_array_equal(ranking.queries, expected.queries)
                np.testing.assert_array_equal(ranking.ranks, expected.ranks)
                np.testing.assert_array_equal(ranking.average_precision, expected.average_precision)


@pytest.mark.parametrize("kind", ["ties", "unit"])
def test_both_ways_equal_the_sorted_list(kind):
    items = embeddings(kind, 30, 1)
    ids = np.random.default_rng(1).integers(0, 12, 30)
    lists = Relevance.from_lists(random_lists(0), 40)
    views = Relevance.from_ids(ids, ids, exclude_self=True)
    for gallery, relevance in ((embeddings(kind, 40, 2), lists), (items, views)):
        reverse = relevance.transpose()
        rankings = rank_both(items, gallery, relevance, reverse, block_size=16)
        cases = (items, gallery, relevance), (gallery, items, reverse)
        for ranking, case in zip(rankings, cases, strict=True):
            ranks, precisions = naive_all(*case)
            np.testing.assert_array_equal(ranking.ranks, ranks)
            np.testing.assert_allclose(ranking.average_precision, precisions, atol=1e-12)
            some = ranking.queries[::3]
            only = rank_matches(*case, only=some)
            np.testing.assert_array_equal(ranking.take(some).ranks, only.ranks)


def test_both_ways_of_a_collapsed_encoder():
    point = np.full((40, 50), 50**-0.5, "float32")
    relevance = Relevance.from_lists(random_lists(0), 40)
    reverse = relevance.transpose()
    forward, backward = rank_both(point[:30], point, relevance, reverse, block_size=16)
    np.testing.assert_array_equal(forward.ranks, 41 - relevance.counts[relevance.counted])
    np.testing.assert_array_equal(backward.ranks, 31 - reverse.counts[reverse.counted])


def test_sets_that_do_not_belong_together():
    relevance = Relevance.from_lists([[0], [1]], 2)
    with pytest.raises(ValueError, match="`queries` and `gallery` must have the same width. Re"):
        rank_both(np.eye(2), np.ones((2, 3)), relevance, relevance)
    with pytest.raises(ValueError, match="row of `gallery`. Received: 2 queries for 3 rows"):
        rank_both(np.eye(2), np.ones((3, 2)), relevance, relevance)
    with pytest.raises(ValueError, match="`block_size` must be .* Received: block_size=0"):
        rank_both(np.eye(2), np.eye(2), relevance, relevance, block_size=0)
    with pytest.raises(ValueError, match="`queries` and `matches` must have the same width. Re"):
        rank_matches(np.eye(2), np.eye(2), relevance, matches=np.ones((2, 3)))


def test_the_same_ranks_as_query_ranks():
    queries, gallery = embeddings("unit", 30, 2), embeddings("unit", 40, 3)
    ids = np.arange(30), np.arange(40) % 30
    expected = query_ranks(queries, gallery, *ids)
    ranking = rank_matches(queries, gallery, Relevance.from_ids(*ids))
    np.testing.assert_array_equal(ranking.ranks, expected)
    some = rank_matches(queries, gallery, Relevance.from_ids(*ids), only=np.array([3, 17]))
    np.testing.assert_array_equal(some.ranks, expected[[3, 17]])
    np.testing.assert_array_equal(ranking.take(np.array([3, 17])).ranks, some.ranks)


def test_by_hand():
    """Right at places 1, 3 and 5 of R = 3: (1/1 + 2/3 + 0) / 3."""
    gallery = [[5.0], [4.0], [3.0], [2.0], [1.0]]
    relevance = Relevance.from_lists([[0, 2, 4]], 5)
    ranking = rank_matches([[1.0]], gallery, relevance)
    assert ranking.ranks.tolist() == [1]
    assert ranking.average_precision[0] == pytest.approx((1 + 2 / 3) / 3)
    # An equal wrong item comes first.
    ranking = rank_matches([[1.0]], [[5.0], [5.0], [3.0], [2.0], [1.0]], relevance)
    assert ranking.ranks.tolist() == [2]
    assert ranking.average_precision[0] == pytest.approx((1 / 2 + 2 / 3) / 3)


def test_a_collapsed_encoder_has_the_worst_rank_and_no_precision():
    point = np.full((40, 50), 50**-0.5, "float32")
    relevance = Relevance.from_lists(random_lists(0), 40)
    ranking = rank_matches(point[:30], point, relevance, block_size=16)
    np.testing.assert_array_equal(ranking.ranks, 41 - relevance.counts[relevance.counted])


def test_map_at_r():
    queries, gallery = embeddings("unit", 30, 2), embeddings("unit", 40, 3)
    ids = np.arange(30) % 9, np.arange(40) % 7
    expected = naive_all(queries, gallery, Relevance.from_ids(*ids))[1].mean()
    assert map_at_r(queries, gallery, *ids) == pytest.approx(expected, abs=1e-12)
    assert map_at_r(gallery, gallery, np.arange(40), np.arange(40)) == 1.0
    with pytest.raises(ValueError, match="needs a query with a right item. Received: 30 queries"):
        map_at_r(queries, gallery, ids[0], ids[1] + 100)
