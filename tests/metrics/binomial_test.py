import numpy as np
import pytest

from rocmr_keras.metrics.binomial import lower_bound


def test_known_values():
    """The first has a closed form; the others are from published tables of the two-sided 95 %."""
    assert lower_bound(100, 100, 0.001) == pytest.approx(0.001**0.01, abs=1e-12)
    assert lower_bound(0, 10, 0.05) == 0.0
    assert lower_bound(1, 10, 0.025) == pytest.approx(0.0025, abs=5e-5)
    assert lower_bound(5, 10, 0.025) == pytest.approx(0.1871, abs=5e-5)
    assert lower_bound(9, 10, 0.025) == pytest.approx(0.5550, abs=5e-5)


def test_it_is_wrong_as_seldom_as_it_says():
    successes = np.random.default_rng(0).binomial(200, 0.7, size=4000)
    bounds = {count: lower_bound(int(count), 200, 0.05) for count in np.unique(successes)}
    wrong = np.mean([bounds[count] > 0.7 for count in successes])
    assert 0.02 < wrong < 0.06
