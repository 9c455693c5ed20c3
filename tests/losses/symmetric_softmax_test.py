import numpy as np
import pytest

from rocmr_keras.losses import SymmetricSoftmax


def twin(similarities, positives, scale):
    """Item by item: the mean over its positives of minus the log share of softmax mass."""
    total = 0.0
    for matrix, matches in ((similarities, positives), (similarities.T, positives.T)):
        for row, right in zip(scale * matrix.astype("float64"), matches):
            shares = np.exp(row) / np.exp(row).sum()
            total -= np.mean(np.log(shares[right])) / len(matrix) / 2
    return total


@pytest.mark.parametrize("scale", [1.0, 14.0])
def test_numpy_twin(scale, similarities, positives, evaluate):
    value = evaluate(SymmetricSoftmax(), similarities, positives, scale)
    assert value == pytest.approx(twin(similarities, positives, scale), rel=1e-5)


def test_more_columns_than_rows(similarities, evaluate):
    positives = np.array([[True, False, True, False], [False, True, False, True]])
    value = evaluate(SymmetricSoftmax(), similarities[:2], positives, 3.0)
    assert value == pytest.approx(twin(similarities[:2], positives, 3.0), rel=1e-5)


def test_by_hand(evaluate):
    loss, pairs = SymmetricSoftmax(), np.eye(4, dtype="bool")
    assert evaluate(loss, np.eye(4), pairs, 100.0) == pytest.approx(0.0, abs=1e-6)
    assert evaluate(loss, np.ones((4, 4)), pairs, 100.0) == pytest.approx(np.log(4))
    assert evaluate(loss, 1.0 - np.eye(4), pairs, 100.0) == pytest.approx(100 + np.log(3))
    # Four captions of one image cannot do better than a quarter of the mass each.
    assert evaluate(loss, np.ones((4, 4)), np.full((4, 4), True)) == pytest.approx(np.log(4))


def test_bias_is_ignored(similarities, positives, evaluate):
    loss = SymmetricSoftmax()
    shifted = evaluate(loss, similarities, positives, 2.0, -10.0)
    assert shifted == pytest.approx(evaluate(loss, similarities, positives, 2.0), rel=1e-5)


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_gradient(scale, similarities, positives, gradient_of):
    gradient = gradient_of(SymmetricSoftmax(), similarities, positives, scale)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 1e-3
    # Moving all similarities together changes nothing.
    np.testing.assert_allclose(gradient.sum(), 0.0, atol=1e-4)
    gradient = gradient_of(SymmetricSoftmax(), np.ones((4, 4)), np.eye(4) > 0, scale)
    assert np.all(np.diag(gradient) < 0) and np.all(gradient[~np.eye(4, dtype="bool")] > 0)


def test_config(check_config):
    check_config(SymmetricSoftmax())
