"""Scores that do not depend on who computes them, beside whom, or where."""

import math

import numpy as np
import pytest

from rocmr_keras.data.runtime import tensorflow
from rocmr_keras.gallery.fixed_order import ordered_sum
from rocmr_keras.gallery.fixed_order import pair_scores
from rocmr_keras.gallery.fixed_order import score_error

tf = tensorflow()
pytestmark = pytest.mark.processor


def rows(count, dim, seed=0):
    return np.random.default_rng(seed).normal(size=(count, dim)).astype("float32")


@pytest.mark.parametrize("dim", [1, 2, 3, 7, 64, 65])
def test_sum(dim):
    products = rows(5, dim).astype("float64")
    expected = [math.fsum(row) for row in products]
    np.testing.assert_allclose(ordered_sum(products), expected, atol=1e-14)
    np.testing.assert_array_equal(ordered_sum(products), ordered_sum(tf.constant(products)))


def test_a_pair_does_not_know_its_place():
    queries, vectors = rows(33, 65), rows(33, 65, seed=1)
    together = pair_scores(queries, vectors)
    for place in range(33):
        assert pair_scores(queries[place], vectors[place]) == together[place]
    np.testing.assert_array_equal(pair_scores(queries[::-1], vectors[::-1]), together[::-1])


@pytest.mark.parametrize("dim", [3, 64, 512])
def test_no_product_is_further_off(dim):
    queries, vectors = rows(40, dim), rows(60, dim, seed=1)
    exact = pair_scores(queries[:, None], vectors)
    norms = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(vectors, axis=1)
    allowed = score_error(dim) * norms
    for product in (queries @ vectors.T, tf.matmul(queries, vectors.T).numpy()):
        assert (np.abs(product - exact) <= allowed).all()
    # A bound that allowed for half precision would say nothing.
    assert score_error(dim) < dim * 2.0**-22
