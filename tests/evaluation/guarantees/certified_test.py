import statistics

import numpy as np
import pytest

from rocmr_keras.evaluation import Smoothing
from rocmr_keras.evaluation import certified_recall
from rocmr_keras.evaluation.guarantees.certified import certified_radii
from rocmr_keras.evaluation.guarantees.certified import largest_radius

SIGMA = 0.2
SMOOTHING = Smoothing(SIGMA, num_samples=100, alpha=0.01)


@pytest.fixture(scope="module")
def curve(colour_model, colour_split):
    return certified_recall(colour_model, colour_split, SMOOTHING, batch_size=8, verbose=0)


def test_no_radius_is_beyond_what_breaks_a_colour(curve, colour_split):
    """The mean of a channel crosses the middle under an l2 change of 4 times its distance."""
    means = colour_split.images.mean(axis=(1, 2)) / 255
    breaking = 4 * np.abs(means - 0.5).min(axis=1)
    assert curve["radii"][-1] == 0.0 and curve["shares"][-1] < 0.5
    assert (curve["radii"][:6] < breaking[:6]).all()
    assert (curve["radii"][:6] > 0.1).all()
    assert curve["clean_recall"] == pytest.approx(6 / 7)


def test_shares_are_those_of_the_normal_distribution(curve, colour_split):
    means = colour_split.images.mean(axis=(1, 2)) / 255
    chance = statistics.NormalDist(0.0, SIGMA / 4).cdf
    expected = [np.prod([chance(value) for value in np.abs(row - 0.5)]) for row in means[:6]]
    np.testing.assert_allclose(curve["shares"][:6], expected, atol=0.08)


def test_the_curve_falls(curve):
    recall, radius = np.array(curve["recall"]), np.array(curve["radius"])
    assert radius[0] == 0.0 and recall[0] == pytest.approx(6 / 7) and recall[-1] == 0.0
    assert (np.diff(recall) <= 0).all() and (np.diff(radius) > 0).all()
    assert recall[8] == np.mean(curve["radii"] > radius[8])


def test_radii_by_count():
    smoothing = Smoothing(0.5, 1000, 0.001)
    radii = certified_radii(np.array([0, 500, 900, 1000]), smoothing)
    assert radii[0] == radii[1] == 0.0
    # The normal approximation of the bound.
    bound = 0.9 - 3.09 * (0.9 * 0.1 / 1000) ** 0.5
    assert radii[2] == pytest.approx(0.5 * statistics.NormalDist().inv_cdf(bound), rel=0.03)
    assert radii[3] == largest_radius(smoothing)
    assert radii[3] == pytest.approx(0.5 * statistics.NormalDist().inv_cdf(0.001**0.001))


def test_bad_arguments(colour_model, colour_split):
    for options, message in (
        ({"sigma": 0}, "`sigma` must be positive .* Received: sigma=0"),
        ({"alpha": 1.0}, "`alpha` in .* Received: .*alpha=1.0"),
        ({"num_samples": 0}, "at least 1. Received: num_samples=0"),
    ):
        with pytest.raises(ValueError, match=message):
            Smoothing(**options)
    for options, message in (
        ({"k": 1.0}, "at least 1. Received: k=1.0"),
        ({"smoothing": 0.25}, r"must be a `Smoothing`. Received: smoothing=0.25. Write"),
    ):
        with pytest.raises(ValueError, match=message):
            certified_recall(colour_model, colour_split, verbose=0, **options)
