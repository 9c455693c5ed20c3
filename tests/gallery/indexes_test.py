import operator

import numpy as np
import pytest

from rocmr_keras.data.runtime import tensorflow
from rocmr_keras.gallery import ExactIndex
from rocmr_keras.gallery import Gallery
from rocmr_keras.gallery import Int8Index
from rocmr_keras.gallery import InvertedFileIndex
from rocmr_keras.gallery import indexes
from rocmr_keras.gallery.fixed_order import pair_scores
from rocmr_keras.gallery.indexes.int8 import quantize
from rocmr_keras.gallery.indexes.k_means import assign
from rocmr_keras.gallery.indexes.k_means import k_means

tf = tensorflow()


def unit(count, seed, dim=8):
    vectors = np.random.default_rng(seed).normal(size=(count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("float32")


def search(index, vectors, queries, k):
    scores, rows = index.build(vectors).search(tf.constant(queries), tf.constant(k))
    return scores.numpy(), rows.numpy()


def brute_force(vectors, queries, k):
    scores = pair_scores(queries[:, None], vectors)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


# All cells looked at: nothing can be missed.
EXACT = [ExactIndex(), InvertedFileIndex(num_cells=7, num_probes=7)]


@pytest.mark.processor
@pytest.mark.parametrize("index", EXACT, ids=["exact", "all cells"])
@pytest.mark.parametrize("k", [1, 10, 300])
def test_exact(index, k, monkeypatch):
    # Blocks of 64 rows: the last one is smaller.
    monkeypatch.setattr("rocmr_keras.gallery.graph.vector_tables.FloatTable.block_values", 64 * 8)
    vectors, queries = unit(300, 0), unit(5, 1)
    vectors[[70, 250, 299]] = vectors[2]
    queries[0] = vectors[2]
    scores, rows = search(index, vectors, queries, k)
    np.testing.assert_array_equal(rows, brute_force(vectors, queries, k))
    assert k < 4 or rows[0, :4].tolist() == [2, 70, 250, 299]
    products = np.einsum("nd,nkd->nk", queries, vectors[rows])
    np.testing.assert_allclose(scores, products, atol=1e-6)


@pytest.mark.processor
@pytest.mark.parametrize("index", EXACT, ids=["exact", "all cells"])
@pytest.mark.parametrize("twins", [3, 200])
def test_near_ties_are_told_apart_and_ties_go_to_the_lowest_row(index, twins, monkeypatch):
    """With 200 twins more rows tie than are scored again at once."""
    monkeypatch.setattr("rocmr_keras.gallery.graph.vector_tables.FloatTable.block_values", 64 * 17)
    vectors, random = unit(500, 0, dim=17), np.random.default_rng(3)
    places = random.permutation(500)[:twins]
    vectors[places] = vectors[0]
    # The next float32 in one number: a product may put it on either side of its twins.
    vectors[places[::3], 0] = np.nextafter(vectors[0, 0], np.float32(2))
    queries = np.concatenate([vectors[:1], unit(3, 1, dim=17)])
    for k in (1, 10, 150):
        scores, rows = search(index, vectors, queries, k)
        expected = Gallery(vectors).search(queries, k)
        np.testing.assert_array_equal(rows, expected["rows"])
        np.testing.assert_array_equal(scores, expected["scores"])
        np.testing.assert_array_equal(rows, brute_force(vectors, queries, k))


@pytest.mark.processor
def test_a_query_is_answered_alike_alone_and_among_others():
    vectors, queries = unit(3000, 0, dim=24), unit(40, 1, dim=24)
    for index in (ExactIndex(), Int8Index(), InvertedFileIndex(num_cells=30, num_probes=4)):
        built = index.build(vectors)
        scores, rows = built.search(tf.constant(queries), tf.constant(9))
        for place in (0, 17, 39):
            alone = built.search(tf.constant(queries[place : place + 1]), tf.constant(9))
            np.testing.assert_array_equal(alone[0][0], scores[place])
            np.testing.assert_array_equal(alone[1][0], rows[place])


@pytest.mark.parametrize("index", [*EXACT, Int8Index()], ids=["exact", "all cells", "int8"])
def test_without_a_query(index):
    scores, rows = search(index, unit(20, 0), unit(0, 1), 3)
    assert scores.shape == rows.shape == (0, 3)


@pytest.mark.processor
def test_int8_is_within_half_a_step():
    vectors = np.concatenate([unit(50, 0), np.zeros((1, 8), "float32")])
    codes, scales = quantize(vectors)
    assert codes.dtype == np.int8 and np.abs(codes.astype(int)).max() == 127
    error = np.abs(codes * scales[:, None] - vectors).max(axis=1)
    assert (error <= scales / 2 * 1.001).all()
    queries = unit(4, 1)
    found, rows = search(Int8Index(), vectors, queries, 10)
    products = np.einsum("qd,nd->qn", queries.astype("float64"), codes * scales[:, None])
    np.testing.assert_array_equal(rows, np.argsort(-products, axis=1)[:, :10])
    np.testing.assert_allclose(found[0, 0], vectors[rows[0, 0]] @ queries[0], atol=0.02)


@pytest.mark.processor
@pytest.mark.parametrize("index", [*EXACT, Int8Index()], ids=["exact", "all cells", "int8"])
def test_a_saved_search_gives_its_vectors(index):
    """Of codes too: what is built of them again is the same, bit by bit."""
    vectors, queries = unit(5000, 0, dim=17), unit(5, 1, dim=17)
    built = index.build(vectors)
    variable = lambda name: operator.attrgetter(name.replace("/", "."))(built)  # noqa: E731
    read = index.read_vectors(lambda name: variable(name).numpy())
    if not isinstance(index, Int8Index):
        np.testing.assert_array_equal(read, vectors)
    again = index.build(read)
    for first, second in zip(built.variables, again.variables, strict=True):
        np.testing.assert_array_equal(first, second)
    scores, rows = built.search(tf.constant(queries), tf.constant(9))
    np.testing.assert_array_equal(search(index, read, queries, 9)[0], scores)


def test_fewer_cells_find_less_but_always_enough():
    vectors, queries = unit(400, 0), unit(50, 1)
    exact = brute_force(vectors, queries, 10)
    recalls = []
    for num_probes in (1, 4, 20):
        _, rows = search(InvertedFileIndex(20, num_probes), vectors, queries, 10)
        assert all(len(set(row)) == 10 for row in rows.tolist())
        recalls.append(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(rows, exact)]))
    assert 0.15 < recalls[0] < recalls[1] < recalls[2] == 1
    # More than the probed cell holds: further cells are opened.
    _, rows = search(InvertedFileIndex(20, 1), vectors, queries, 400)
    assert sorted(rows[0].tolist()) == list(range(400))


def test_k_means_finds_what_is_there():
    centres = np.eye(4, 8, dtype="float32")
    vectors = np.repeat(centres, 25, axis=0) + 0.05 * unit(100, 0)
    cells = assign(vectors, k_means(vectors, 12))
    # No cell mixes two of them.
    pairs = set(zip(cells.tolist(), np.repeat(range(4), 25).tolist()))
    assert len({cell for cell, _ in pairs}) == len(pairs)
    np.testing.assert_array_equal(k_means(vectors, 3, seed=1), k_means(vectors, 3, seed=1))
    # As many cells as points, all the same point: nothing to divide.
    assert np.isfinite(k_means(np.ones((3, 2), "float32"), 3)).all()


@pytest.mark.parametrize("index", [ExactIndex(), Int8Index(), InvertedFileIndex(9, 2, seed=1)])
def test_config(index):
    again = indexes.from_config(indexes.to_config(index))
    assert type(again) is type(index) and again.get_config() == index.get_config()
    assert indexes.get(index) is index


@pytest.mark.parametrize("name, value", [("num_cells", 0), ("num_probes", 0)])
def test_mistakes(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be 1 or more. Received: {name}={value}"):
        InvertedFileIndex(**{name: value})
