import numpy as np
import pytest

from rocmr_keras.attacks import APGD
from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import RandomNoise
from rocmr_keras.evaluation import epsilon_curve
from rocmr_keras.reports import pictures

pytestmark = pytest.mark.usefixtures("eagerly")

EPSILONS = [0.2, 0.0, 0.05, 0.4]
ATTACKS = {
    "pgd": PGD(0.1, 3, step_size=0.05, seed=0),
    "apgd": APGD(0.1, 3, seed=0),
}


@pytest.fixture(scope="module", params=ATTACKS)
def curve(request, random_model, split):
    return epsilon_curve(
        random_model, split, ATTACKS[request.param], EPSILONS, batch_size=4, verbose=0
    )


def test_more_budget_is_never_weaker(curve):
    assert curve["epsilon"] == [0.0, 0.05, 0.2, 0.4]
    assert curve["losses"].shape == (4, 7) and curve["ranks"].shape == (4, 7)
    gains = np.diff(curve["losses"], axis=0)
    assert gains.min() >= 0 and np.all(curve["losses"][-1] > curve["losses"][0] + 0.1)
    assert curve["recall"] == [np.mean(ranks == 1) for ranks in curve["ranks"]]


def test_warm_starts_gain_on_a_cold_one(random_model, split):
    """One step from where the smaller budget has ended is more than one step."""
    attack = PGD(0.4, 1, step_size=0.1, random_start=False)
    settings = {"batch_size": 4, "verbose": 0}
    warm = epsilon_curve(random_model, split, attack, [0.1, 0.2, 0.4], **settings)
    cold = epsilon_curve(random_model, split, attack, [0.4], **settings)
    assert np.mean(warm["losses"][-1]) > np.mean(cold["losses"][-1]) + 0.05


def test_pale_colours_by_hand(model, split):
    """Blue falls above 0.1, cyan above 0.12, nothing else before 0.3."""
    attack = PGD(0.2, 3, random_start=False)
    curve = epsilon_curve(model, split, attack, [0.0, 0.08, 0.2], "margin", 1, 16, 0)
    assert curve["recall"] == pytest.approx([6 / 7, 6 / 7, 4 / 7])


def test_the_curve_can_be_drawn(curve, tmp_path):
    pytest.importorskip("matplotlib")
    pictures.recall_against_epsilon(tmp_path / "curve.png", {"toy": curve})
    assert (tmp_path / "curve.png").stat().st_size > 1000


def test_errors(model, split):
    with pytest.raises(ValueError, match="`epsilons` must be finite.*Received: epsilons=.-0.1"):
        epsilon_curve(model, split, PGD(0.1), [-0.1, 0.1])
    with pytest.raises(ValueError, match="at least one positive"):
        epsilon_curve(model, split, PGD(0.1), [0.0])
    with pytest.raises(ValueError, match=r"not its class. Received: attack=PGD. Write e.g. PGD"):
        epsilon_curve(model, split, PGD, [0.1])
    for attack in (RandomNoise(0.1), PGD(0.1, keep_best=False)):
        with pytest.raises(ValueError, match="must take a `start` and keep the best"):
            epsilon_curve(model, split, attack, [0.1])
