import numpy as np
import pytest

from rocmr_keras.metrics import hubness

pytestmark = pytest.mark.processor


def unit(count, seed, width=5):
    rows = np.random.default_rng(seed).normal(size=(count, width))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("block_size", [4, 100])
def test_equals_the_sorted_matrix(block_size):
    queries, gallery = unit(23, 0), unit(31, 1)
    scores = queries @ gallery.T
    first = np.argsort(-scores, axis=1)[:, :10]
    found, items = hubness.nearest(queries, gallery, 10, block_size)
    np.testing.assert_array_equal(np.sort(items, axis=1), np.sort(first, axis=1))
    np.testing.assert_allclose(np.sort(found), np.sort(np.take_along_axis(scores, first, 1)))
    occurrences = np.array([np.sum(first == item) for item in range(31)])
    z = (occurrences - occurrences.mean()) / occurrences.std()
    skewness = hubness.skewness(queries, gallery, block_size=block_size)
    assert skewness == pytest.approx(np.mean(z**3))


def test_skewness_by_hand():
    """Found 1, 1 and 4 times: the deviations are -1, -1 and 2."""
    gallery = np.eye(3)
    queries = gallery[[0, 1, 2, 2, 2, 2]]
    assert hubness.skewness(queries, gallery, k=1) == pytest.approx(2.0 / 2.0**1.5)
    assert hubness.skewness(gallery, gallery, k=1) == 0.0
    # Fewer items than k: all are found by all.
    assert hubness.skewness(queries, gallery) == 0.0


def test_hub_share_by_hand():
    gallery = np.eye(3)
    queries = np.array([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.0, 0.6, 0.8]])
    # Beats 0.8 of the second, ties with 0.8 of the third, loses against 1.0.
    hubs = np.array([[0.6, 0.8, 0.0], [0.0, 0.6, 0.8]])
    assert hubness.hub_share(queries, gallery, hubs[:1]) == pytest.approx(1 / 3)
    assert hubness.hub_share(queries, gallery, hubs) == pytest.approx(2 / 3)
    assert hubness.hub_share(queries, gallery, gallery) == 1.0


def test_the_gate_refuses_hubs_and_few_others():
    random = np.random.RandomState(0)
    vectors = random.normal(size=(700, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    gallery, honest, sentinels = vectors[:300], vectors[300:400], vectors[400:]
    # Queries of one modality lie in a cone, and a hub in the middle of it.
    sentinels = sentinels + 0.7 * vectors[0]
    sentinels /= np.linalg.norm(sentinels, axis=1, keepdims=True)
    hub = sentinels.mean(axis=0, keepdims=True)
    hub /= np.linalg.norm(hub)
    found = hubness.admit(np.concatenate([hub, honest]), gallery, sentinels, k=5, block_size=64)
    assert found["refused"][0] and found["refused"][1:].mean() < 0.1
    assert found["gallery_refused"].mean() < 0.1
    scores = sentinels @ np.concatenate([gallery, honest[:1]]).T
    places = np.argsort(-scores, axis=1)[:, :5]
    assert found["occurrences"][1] == np.sum(places == 300)
    assert not hubness.admit(hub, gallery, sentinels, k=5, deviations=1e3)["refused"].any()
    with pytest.raises(ValueError, match="more than `k` items. Received: 300 sentinels, 3 items"):
        hubness.admit(hub, gallery[:3], sentinels, k=5)
