import numpy as np
import pytest

from rocmr_keras.losses import HardestTriplet

pytestmark = pytest.mark.processor


def twin(similarities, positives, margin):
    """Positive pair by positive pair: both hinges against the hardest negative."""
    hinges = []
    for row, column in zip(*np.nonzero(positives)):
        own = similarities[row, column]
        hardest_column = similarities[row][~positives[row]].max()
        hardest_row = similarities[:, column][~positives[:, column]].max()
        hinges.append(max(0.0, margin + hardest_column - own))
        hinges[-1] += max(0.0, margin + hardest_row - own)
    return np.mean(hinges)


@pytest.mark.parametrize("margin", [0.1, 0.5])
def test_numpy_twin(margin, similarities, positives, evaluate):
    value = evaluate(HardestTriplet(margin), similarities, positives)
    assert value == pytest.approx(twin(similarities, positives, margin), rel=1e-5)


def test_by_hand(evaluate):
    pairs = np.eye(4, dtype="bool")
    assert evaluate(HardestTriplet(), np.eye(4), pairs) == 0.0
    # A collapsed encoder pays the margin twice, a reversed one the gap on top.
    assert evaluate(HardestTriplet(0.3), np.ones((4, 4)), pairs) == pytest.approx(0.6)
    assert evaluate(HardestTriplet(0.3), 1.0 - np.eye(4), pairs) == pytest.approx(2.6)
    # A lead of 0.5 satisfies a margin of 0.5 and falls 0.1 short of 0.6.
    assert evaluate(HardestTriplet(0.5), 0.5 * np.eye(4), pairs) == pytest.approx(0.0)
    assert evaluate(HardestTriplet(0.6), 0.5 * np.eye(4), pairs) == pytest.approx(0.2)


def test_only_positives(evaluate, gradient_of):
    similarities, positives = np.zeros((4, 4)), np.full((4, 4), True)
    assert evaluate(HardestTriplet(), similarities, positives) == 0.0
    assert np.all(gradient_of(HardestTriplet(), similarities, positives) == 0.0)


def test_scale_and_bias_are_ignored(similarities, positives, evaluate):
    loss = HardestTriplet()
    value = evaluate(loss, similarities, positives)
    assert evaluate(loss, similarities, positives, 100.0, -10.0) == value


def test_gradient(similarities, positives, gradient_of):
    gradient = gradient_of(HardestTriplet(), similarities, positives)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0.01
    assert np.all(gradient[positives] <= 0) and np.all(gradient[~positives] >= 0)
    assert np.isfinite(gradient_of(HardestTriplet(), np.ones((4, 4)), positives)).all()


def test_config(check_config):
    check_config(HardestTriplet(0.3))


@pytest.mark.parametrize("margin", [0.0, -0.2, float("nan")])
def test_bad_margin(margin):
    with pytest.raises(ValueError, match="`margin` must be positive. Received: margin="):
        HardestTriplet(margin)
