import numpy as np
import pytest

from rocmr_keras.losses import PairwiseSigmoid


def twin(similarities, positives, scale, bias):
    """Pair by pair: minus the log probability of its own answer, per row."""
    logits = scale * similarities.astype("float64") + bias
    probabilities = 1.0 / (1.0 + np.exp(-logits))
    right = np.where(positives, probabilities, 1.0 - probabilities)
    return -np.log(right).sum() / len(similarities)


@pytest.mark.parametrize("scale, bias", [(1.0, 0.0), (10.0, -10.0)])
def test_numpy_twin(scale, bias, similarities, positives, evaluate):
    value = evaluate(PairwiseSigmoid(), similarities, positives, scale, bias)
    assert value == pytest.approx(twin(similarities, positives, scale, bias), rel=1e-5)


def test_by_hand(evaluate):
    loss, pairs = PairwiseSigmoid(), np.eye(4, dtype="bool")
    perfect = 2.0 * np.eye(4) - 1.0
    assert evaluate(loss, perfect, pairs, 100.0) == pytest.approx(0.0, abs=1e-6)
    assert evaluate(loss, -perfect, pairs, 100.0) == pytest.approx(4 * 100.0)
    # Without a scale every pair is a coin toss.
    assert evaluate(loss, np.ones((4, 4)), pairs, 0.0) == pytest.approx(4 * np.log(2))


@pytest.mark.parametrize("scale, bias", [(1.0, 0.0), (100.0, -10.0)])
def test_gradient(scale, bias, similarities, positives, gradient_of):
    gradient = gradient_of(PairwiseSigmoid(), similarities, positives, scale, bias)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 1e-3
    assert np.all(gradient[positives] <= 0) and np.all(gradient[~positives] >= 0)


def test_config(check_config):
    check_config(PairwiseSigmoid())
