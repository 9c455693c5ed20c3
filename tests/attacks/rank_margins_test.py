import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import MarginAtK
from rocmr_keras.attacks import MarginsInTurn
from rocmr_keras.attacks import Target
from rocmr_keras.attacks import TargetedMargin
from rocmr_keras.attacks import objectives
from rocmr_keras.backend import value_and_grad
from rocmr_keras.metrics import Relevance
from rocmr_keras.metrics import rank_matches

QUERIES, ITEMS = 6, 9


def unit_rows(seed, rows):
    vectors = np.random.RandomState(seed).normal(size=(rows, 4))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("float32")


@pytest.fixture(scope="module")
def positives():
    """One or two right items each."""
    mask = np.zeros((QUERIES, ITEMS), bool)
    mask[np.arange(QUERIES), np.arange(QUERIES)] = True
    mask[::2, -1] = True
    return mask


@pytest.fixture(scope="module")
def gallery():
    """Two items are one and the same: a tie, now of wrong ones, now of a right and a wrong one."""
    gallery = unit_rows(0, ITEMS)
    gallery[7] = gallery[1]
    return gallery


@pytest.fixture(scope="module")
def make_target(gallery, positives):
    def make_target(**options):
        return Target(ops.convert_to_tensor(gallery), positives, **options)

    return make_target


def losses_of(objective, embeddings, target):
    return ops.convert_to_numpy(objective(ops.convert_to_tensor(embeddings), target))


def twin(k, embedding, gallery, positives, excluded=None):
    wrong = ~positives if excluded is None else ~(positives | excluded)
    scores = sorted(gallery[wrong] @ embedding, reverse=True)
    kth = scores[k - 1] if k <= len(scores) else -2.0
    return kth - max(gallery[positives] @ embedding)


@pytest.mark.parametrize("k", [1, 2, 5, 7, 8, 30])
def test_numpy_twin(k, make_target, gallery, positives):
    """Eight wrong items or seven: what is beyond them cannot be lost."""
    embeddings = unit_rows(1, 2 * QUERIES)
    found = losses_of(MarginAtK(k), embeddings, make_target())
    expected = [twin(k, each, gallery, positives[i % QUERIES]) for i, each in enumerate(embeddings)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert k < 30 or (found < -0.9).all()


def test_items_that_do_not_count(make_target, gallery, positives):
    excluded = np.zeros_like(positives)
    excluded[:, [6, 7]] = True
    embeddings = unit_rows(1, QUERIES)
    for k in (1, 5, 7):
        found = losses_of(MarginAtK(k), embeddings, make_target(excluded=excluded))
        rows = zip(embeddings, positives, excluded)
        expected = [twin(k, each, gallery, right, out) for each, right, out in rows]
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_first_is_the_margin_also_in_training(make_target):
    embeddings = unit_rows(1, QUERIES)
    symmetric = {"clean": ops.convert_to_tensor(unit_rows(2, QUERIES)), "symmetric": True}
    for options in ({}, symmetric):
        found = losses_of(MarginAtK(1), embeddings, make_target(**options))
        expected = losses_of(objectives.margin, embeddings, make_target())
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("k", [1, 2, 3, 5, 8])
def test_lost_in_the_ranks_from_zero_on(k, make_target, gallery, positives):
    """The query itself is an item: then copies of right and wrong items tie exactly."""
    queries = np.concatenate([gallery, unit_rows(3, 27)]).reshape(6, QUERIES, 4)
    relevance = Relevance.from_lists([np.flatnonzero(row) for row in positives], ITEMS)
    ranks = [rank_matches(each, gallery, relevance).ranks for each in queries]
    margins = losses_of(MarginAtK(k), queries.reshape(-1, 4), make_target()).reshape(6, QUERIES)
    # Not `>= 0`: a matrix product may round a tie to either side.
    assert np.array_equal(np.array(ranks) > k, margins >= -1e-6)
    assert 0 < (margins >= -1e-6).sum() < margins.size or k == 8


def test_the_gradient_is_that_of_two_items(make_target, gallery, positives):
    embeddings = unit_rows(4, QUERIES)
    _, gradient = value_and_grad(lambda x: MarginAtK(3)(x, make_target()))(
        ops.convert_to_tensor(embeddings)
    )
    for found, each, right in zip(ops.convert_to_numpy(gradient), embeddings, positives):
        scores = gallery @ each
        third = np.argsort(np.where(right, -2.0, scores))[-3]
        best = np.argmax(np.where(right, scores, -2.0))
        np.testing.assert_allclose(found, gallery[third] - gallery[best], atol=1e-6)


def test_one_rank_after_the_other(make_target, gallery, positives):
    """Twin: 4 for each rank lost, then the margin of the next."""
    ks = (1, 3, 5)
    embeddings = unit_rows(5, 4 * QUERIES)
    for first in (1, 2, 5):
        found = losses_of(MarginsInTurn(ks, first=first), embeddings, make_target())
        for i, (loss, each) in enumerate(zip(found, embeddings)):
            margins = {k: twin(k, each, gallery, positives[i % QUERIES]) for k in ks}
            left = [k for k in ks if k >= first and margins[k] < 0.0]
            expected = 4.0 * (3 - len(left)) + margins[min(left, default=5)]
            assert loss == pytest.approx(expected, abs=1e-5)


def test_a_rank_outweighs_any_margin(make_target, gallery, positives):
    embeddings = unit_rows(6, 50 * QUERIES)
    found = losses_of(MarginsInTurn((1, 3, 5)), embeddings, make_target()).reshape(50, QUERIES)
    ranks = [
        losses_of(MarginAtK(k), embeddings, make_target()).reshape(50, QUERIES) >= 0
        for k in (1, 3, 5)
    ]
    lost = np.sum(ranks, axis=0)
    assert set(lost.flat) == {0, 1, 2, 3}
    for fewer in range(3):
        assert found[lost == fewer].max() < found[lost == fewer + 1].min()


def test_the_batch_says_where_to_begin(make_target):
    """One trace for all: the target's own first rank goes before."""
    embeddings, firsts = unit_rows(5, QUERIES), np.array([1, 5, 2, 5, 1, 3], "int32")
    target = make_target(first_rank=ops.convert_to_tensor(firsts))
    found = losses_of(MarginsInTurn((1, 3, 5)), embeddings, target)
    for row, first in enumerate(firsts):
        alone = losses_of(MarginsInTurn((1, 3, 5), first=int(first)), embeddings, make_target())
        assert found[row] == alone[row]


def test_configs_and_names(check_config):
    for objective in (MarginAtK(5), MarginsInTurn(), MarginsInTurn((2, 4), first=3)):
        check_config(objective)
    assert MarginAtK(5).__name__ == "margin_at_5"
    assert MarginsInTurn(first=5).__name__ == "margin_at_5_10"
    assert MarginsInTurn(first=5).compiled_as == MarginsInTurn().compiled_as
    assert objectives.get(MarginAtK(2)).k == 2


def test_errors():
    with pytest.raises(ValueError, match="`k` must be an integer of at least 1. Received: k=0"):
        MarginAtK(0)
    with pytest.raises(ValueError, match=r"increasing ranks.*Received: ks=\(5, 5\)"):
        MarginsInTurn((5, 5))
    with pytest.raises(ValueError, match=r"Received: first=11, ks=\(1, 5, 10\). Use e.g. first=10"):
        MarginsInTurn(first=11)


def targeted_twin(rival, embedding, clean, gallery, positives, excluded):
    is_wrong = ~(positives | excluded)
    margins = gallery @ embedding - max(gallery[positives] @ embedding)
    if max(margins[is_wrong]) >= 0:
        return 4 + max(margins[is_wrong])
    nearest = sorted(np.flatnonzero(is_wrong), key=lambda item: -(gallery[item] @ clean))
    if rival > len(nearest):
        return -2 - max(gallery[positives] @ embedding)
    return margins[nearest[rival - 1]]


@pytest.mark.parametrize("rivals", [5, 30])
def test_a_target_stays_the_same_one(rivals, make_target, gallery, positives):
    """Chosen by the clean query, also where a batch brings which one; two queries are lost."""
    excluded = np.zeros_like(positives)
    excluded[:, 6] = True
    clean = unit_rows(2, QUERIES)
    embeddings = np.concatenate([gallery[:QUERIES], unit_rows(3, QUERIES)])
    options = {"clean": ops.convert_to_tensor(clean), "excluded": excluded}
    ranks = np.array([1, 2, 3, 4, 5, rivals], "int32")
    each = make_target(first_rank=ops.convert_to_tensor(ranks), **options)
    found = [losses_of(TargetedMargin(rivals=rivals), embeddings, each)]
    found += [
        losses_of(TargetedMargin(r, rivals), embeddings, make_target(**options)) for r in ranks
    ]
    for rank, losses in zip([ranks, *(np.full(QUERIES, r) for r in ranks)], found):
        places = [*range(QUERIES), *range(QUERIES)]
        expected = [
            targeted_twin(rank[i], row, clean[i], gallery, positives[i], excluded[i])
            for i, row in zip(places, embeddings)
        ]
        np.testing.assert_allclose(losses, expected, atol=1e-6)
    assert (found[0] > 2).any() and (found[0] < 0).any()


def test_a_target_out_of_range():
    with pytest.raises(ValueError, match="`rival` must be at most `rivals`. Received: rival=3"):
        TargetedMargin(3, rivals=2)
