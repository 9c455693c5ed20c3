import numpy as np
import pytest

from rocmr_keras.evaluation.masking_audit.judgement import chance
from rocmr_keras.evaluation.masking_audit.judgement import compare
from rocmr_keras.evaluation.masking_audit.judgement import conclude


def result(verdict):
    return {"verdict": verdict, "figure": 0.5, "explanation": f"It says {verdict}."}


def test_the_worst_check_decides_and_is_the_reason():
    results = {"a": result("pass"), "b": result("caution"), "c": result("fail")}
    assert conclude(results) == {"verdict": "masked", "reason": "c. It says fail."}
    results["c"] = result("caution")
    expected = {"verdict": "caution", "reason": "b. It says caution. Likewise c."}
    assert conclude(results) == expected
    said = conclude({"a": result("pass")})
    assert said["verdict"] == "sound" and "in 1 checks, which proves nothing" in said["reason"]


def test_chance_by_hand():
    # Of eight patterns of three signs one has a mean as high, of four of two signs three.
    assert chance(np.array([1.0, 2.0, 3.0])) == 1 / 8
    assert chance(np.array([3.0, -1.0])) == 2 / 4
    assert chance(np.array([-1.0, -2.0, -3.0])) == 1.0
    assert chance(np.zeros(5)) == 1.0
    # The fewest that can convict.
    assert chance(np.ones(6)) > 0.01 > chance(np.ones(7))


@pytest.mark.parametrize("count", [10, 40])
def test_chance_is_that_of_the_normal_distribution_where_differences_are_normal(count):
    """As often below a tenth as a probability should be."""
    random = np.random.default_rng(1)
    found = [chance(random.normal(size=count)) for _ in range(200)]
    assert 0.04 < np.mean(np.array(found) < 0.1) < 0.17
    assert chance(random.normal(1.5, 1.0, size=count)) < 0.01


def test_a_lead_must_be_large_and_no_chance():
    steady, wild = np.full(20, 0.1), np.append(np.zeros(19), 2.0)
    assert compare(steady, 1.0, 0.0, "Why.")["verdict"] == "fail"
    # The same mean, by one query of twenty.
    assert compare(wild, 1.0, 0.0, "Why.")["verdict"] == "pass"
    few = compare(steady[:6], 1.0, 0.0, "Why.")
    assert few["verdict"] == "caution" and "may be chance (1.6 %)" in few["explanation"]
    # A fiftieth of the gain is nothing.
    assert compare(steady, 6.0, 0.0, "Why.")["verdict"] == "pass"
    assert compare(-steady, 0.0, 0.0, "Why.")["verdict"] == "pass"
