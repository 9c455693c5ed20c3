import numpy as np
import pytest

from rocmr_keras.attacks import checks


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "4/255", None])
def test_bad_budget(value):
    with pytest.raises(ValueError, match="`epsilon` must be a finite number.*Received: epsilon="):
        checks.check_budget("epsilon", value)


def test_budget():
    assert checks.check_budget("epsilon", 0) == 0
    assert checks.check_budget("epsilon", np.float64(0.5)) == 0.5
    assert checks.check_budget("step_size", None, optional=True) is None


@pytest.mark.parametrize("value", [0, -1, 2.0, True, None])
def test_bad_count(value):
    with pytest.raises(ValueError, match="`num_steps` must be an integer.*Received: num_steps="):
        checks.check_count("num_steps", value)
    assert checks.check_count("num_steps", 1) == 1


@pytest.mark.parametrize("value", [(1.0, 0.0), (0.0, 0.0), (0.0,), 1.0, None])
def test_bad_range(value):
    with pytest.raises(ValueError, match="pair .lowest, highest.*Received: value_range="):
        checks.check_range("value_range", value)


def test_range():
    assert checks.check_range("value_range", [-1.0, 1.0]) == (-1.0, 1.0)
