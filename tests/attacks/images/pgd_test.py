import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks.images.pgd import default_step_size

WEIGHTS = np.random.RandomState(4).normal(size=(4, 4, 3)).astype("float32")
SETTINGS = {
    "fgsm": {"num_steps": 1, "random_start": False},
    "random_start_fgsm": {"num_steps": 1},
    "pgd": {"num_steps": 3},
    "pgd_without_start": {"num_steps": 3, "random_start": False},
    "restarts": {"num_steps": 2, "num_restarts": 2},
    "momentum": {"num_steps": 3, "momentum": 1.0},
    "last_iterate": {"num_steps": 2, "keep_best": False},
    "huge_steps": {"num_steps": 2, "step_size": 100.0},
}


def linear(inputs):
    return ops.sum(inputs * ops.convert_to_tensor(WEIGHTS), axis=(1, 2, 3))


def wavy(inputs):
    return ops.sum(ops.sin(20.0 * inputs), axis=(1, 2, 3))


def losses_of(loss_fn, inputs):
    return ops.convert_to_numpy(loss_fn(ops.convert_to_tensor(inputs)))


@pytest.mark.parametrize("epsilon", [0.0, 8 / 255, 0.7])
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", SETTINGS)
def test_ball_and_box(name, norm, epsilon, images, check_budget):
    found = PGD(epsilon, norm=norm, seed=0, **SETTINGS[name])(images, loss_fn=wavy)
    check_budget(found, images, epsilon, norm)
    if name != "last_iterate":
        assert np.all(losses_of(wavy, found) >= losses_of(wavy, images) - 1e-5)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_other_value_range(norm, images, check_budget):
    images = 2.0 * images - 1.0
    attack = PGD(0.5, num_steps=2, norm=norm, value_range=[-1.0, 1.0], seed=0)
    found = attack(images, loss_fn=linear)
    check_budget(found, images, 0.5, norm, attack.value_range)
    assert ops.convert_to_numpy(found).min() < -0.5


@pytest.mark.parametrize("name", ["fgsm", "pgd", "pgd_without_start", "momentum", "huge_steps"])
def test_closed_form_in_linf(name, images):
    found = PGD(0.1, seed=0, **SETTINGS[name])(images, loss_fn=linear)
    expected = np.clip(images + np.float32(0.1) * np.sign(WEIGHTS), 0.0, 1.0)
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, atol=1.2e-7)


@pytest.mark.parametrize("name", ["fgsm", "pgd_without_start"])
def test_closed_form_in_l2(name, images):
    attack = PGD(0.5, norm="l2", value_range=(-9.0, 9.0), seed=0, **SETTINGS[name])
    expected = images + 0.5 * WEIGHTS / np.linalg.norm(WEIGHTS)
    found = attack(images, loss_fn=linear)
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, atol=2e-6)


@pytest.mark.parametrize("norm, step_size", [("linf", 0.05), ("l2", 0.6)])
def test_more_steps_are_never_weaker(norm, step_size, images):
    losses = [losses_of(wavy, images)]
    for num_steps in (1, 2, 3, 4, 6):
        attack = PGD(1.0, num_steps, step_size, norm, seed=0)
        losses.append(losses_of(wavy, attack(images, loss_fn=wavy)))
    gains = np.diff(losses, axis=0)
    assert gains.min() >= -1e-5 and gains[1:].max() > 0.01


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_more_restarts_are_never_weaker(norm, images):
    losses = []
    for num_restarts in (1, 2, 4):
        attack = PGD(0.3, 2, norm=norm, num_restarts=num_restarts, seed=0)
        losses.append(losses_of(wavy, attack(images, loss_fn=wavy)))
    gains = np.diff(losses, axis=0)
    assert gains.min() >= -1e-5 and gains.max() > 0.01


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_larger_epsilon_is_never_weaker(norm, images):
    losses = [losses_of(linear, images)]
    for epsilon in (0.01, 0.1, 0.5, 1.0):
        found = PGD(epsilon, 3, norm=norm, random_start=False)(images, loss_fn=linear)
        losses.append(losses_of(linear, found))
    assert np.diff(losses, axis=0).min() > 0.01


def test_random_start_fgsm_goes_a_quarter_further():
    grey = np.full((4, 4, 4, 3), 0.5, "float32")
    found = PGD(0.1, num_steps=1, seed=0)(grey, loss_fn=linear)
    moved = (ops.convert_to_numpy(found) - grey) * np.sign(WEIGHTS)
    # From the far edge it comes a quarter past the middle, from the middle to the edge.
    assert 0.025 - 1e-6 < moved.min() < 0.06
    np.testing.assert_allclose(np.median(moved), 0.1, atol=1e-6)


def test_default_step_size():
    assert default_step_size(PGD(0.1, 1)) == pytest.approx(0.125)
    assert default_step_size(PGD(0.1, 1, random_start=False)) == pytest.approx(0.1)
    assert default_step_size(PGD(0.1, 10)) == pytest.approx(0.025)
    assert default_step_size(PGD(0.1, 10, step_size=0.02)) == 0.02


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_attacks_compute_in_float32(dtype, images):
    attack = PGD(0.1, num_steps=3, random_start=False)
    found = attack(images.astype(dtype), loss_fn=linear)
    expected = attack(images.astype(dtype).astype("float32"), loss_fn=linear)
    assert str(found.dtype) == str(expected.dtype)
    np.testing.assert_array_equal(ops.convert_to_numpy(found), ops.convert_to_numpy(expected))


def test_bad_arguments(images):
    for options, message in (
        ({"epsilon": -0.1}, "`epsilon` must be a finite number.*Received: epsilon=-0.1"),
        ({"num_steps": 0}, "`num_steps` must be an integer of at least 1"),
        ({"step_size": -1.0}, "`step_size` must be a finite number"),
        ({"norm": "l7"}, "`norm` must be one of"),
        ({"num_restarts": 0}, "`num_restarts` must be an integer"),
        ({"num_restarts": 2, "keep_best": False}, "Received: num_restarts=2, keep_best=False"),
        ({"value_range": (1.0, 0.0)}, "`value_range` must be a pair"),
    ):
        with pytest.raises(ValueError, match=message):
            PGD(**{"epsilon": 0.1, **options})
    with pytest.raises(ValueError, match="inputs of dtype uint8. Divide"):
        PGD(0.1)((255 * images).astype("uint8"), loss_fn=linear)


def test_a_start_is_kept_where_nothing_is_better(images, check_budget):
    """At the top of a linear loss the start stays; outside the ball it is projected."""
    top = np.clip(images + np.float32(0.1) * np.sign(WEIGHTS), 0.0, 1.0)
    attack = PGD(0.1, 1, step_size=0.0, seed=0)
    for start in (top, images + 5.0 * (top - images)):
        found = attack(images, loss_fn=linear, start=start)
        np.testing.assert_allclose(ops.convert_to_numpy(found), top, atol=1.2e-7)
        check_budget(found, images, 0.1)
    # A second run begins at random, and keeps what the first one has.
    again = PGD(0.1, 1, step_size=0.0, num_restarts=2, seed=0)
    found = again(images, loss_fn=linear, start=top)
    np.testing.assert_allclose(ops.convert_to_numpy(found), top, atol=1.2e-7)
