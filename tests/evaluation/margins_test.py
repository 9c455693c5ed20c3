import json

import numpy as np
import pytest

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.attacks import joint
from rocmr_keras.evaluation import EncodedSplit
from rocmr_keras.evaluation import Threat
from rocmr_keras.evaluation import compare_margins
from rocmr_keras.evaluation import encode_joint
from rocmr_keras.evaluation import evaluate
from rocmr_keras.evaluation import format_margins
from rocmr_keras.evaluation.protocols import Both

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="module")
def attacks():
    swaps = TokenSubstitution(1, 60, look_ahead=False, seed=0)
    return PGD(0.2, 3, random_start=False, seed=0), swaps


def test_a_report_has_the_margins_of_each_group(model, split, attacks):
    threat = Threat(*attacks, protocol=Both("sequential", groups_per_batch=4))
    report = evaluate(model, split, {"joint": threat}, batch_size=4, verbose=0)
    encoded = EncodedSplit(model, split, batch_size=4, verbose=0)
    found = encode_joint(encoded, joint.Sequential(*attacks), 4)
    margins = report["attacks"]["joint"]["group_margins"]
    np.testing.assert_allclose(margins, found["losses"], atol=1e-6)
    json.dumps(report, allow_nan=False)


def test_one_attack_has_nothing_to_be_compared_with():
    runs = {"joint": {"group_margins": [0.5]}, "plain": {}}
    with pytest.raises(ValueError, match=r"two attacks with a schedule.*\['joint', 'plain'\]"):
        compare_margins({"attacks": runs})


@pytest.fixture
def comparison():
    """Three attacks on four groups; `b` ties with `a` once, and once but for rounding."""
    margins = {
        "a": [0.0, 0.5, 1.0, -1.0],
        "b": [0.0, 0.5 - 1e-8, 0.75, 0.75],
        "strongest": [0.25, 0.5, 1.0, 1.25],
    }
    runs = {name: {"group_margins": values} for name, values in margins.items()}
    return compare_margins({"attacks": {**runs, "pgd": {}}})


def test_who_is_at_least_as_strong_by_hand(comparison):
    assert [row["mean_margin"] for row in comparison.values()] == [0.125, 0.5 - 0.25e-8, 0.75]
    counts = {name: row["at_least_as_strong"] for name, row in comparison.items()}
    assert counts == {
        "a": {"b": 3, "strongest": 2},
        "b": {"a": 3, "strongest": 1},
        "strongest": {"a": 4, "b": 4},
    }
    assert {row["groups"] for row in comparison.values()} == {4}


def test_the_table(comparison):
    lines = [line.split() for line in format_margins(comparison).splitlines()]
    assert lines[0] == "of 4 groups, at least as strong as margin a b strongest".split()
    assert lines[2:] == [
        ["a", "0.1250", "-", "3", "2"],
        ["b", "0.5000", "3", "-", "1"],
        ["strongest", "0.7500", "4", "4", "-"],
    ]
