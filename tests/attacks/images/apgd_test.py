import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import APGD
from rocmr_keras.attacks import PGD
from rocmr_keras.attacks.images.apgd import checkpoint_windows

WEIGHTS = np.random.RandomState(4).normal(size=(4, 4, 3)).astype("float32")


def linear(inputs):
    return ops.sum(inputs * ops.convert_to_tensor(WEIGHTS), axis=(1, 2, 3))


def wavy(inputs):
    return ops.sum(ops.sin(20.0 * inputs), axis=(1, 2, 3))


def bowl(inputs):
    """Highest at 0.43 in each pixel: sign steps oscillate around it."""
    return -ops.sum(ops.square(inputs - 0.43), axis=(1, 2, 3))


def losses_of(loss_fn, inputs):
    return ops.convert_to_numpy(loss_fn(ops.convert_to_tensor(inputs)))


@pytest.mark.parametrize("epsilon", [0.0, 8 / 255, 0.7])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_ball_and_box(norm, epsilon, images, check_budget):
    found = APGD(epsilon, num_steps=6, norm=norm, seed=0)(images, loss_fn=wavy)
    check_budget(found, images, epsilon, norm)
    assert np.all(losses_of(wavy, found) >= losses_of(wavy, images) - 1e-5)


def test_closed_form_in_linf(images):
    found = APGD(0.1, num_steps=8, seed=0)(images, loss_fn=linear)
    expected = np.clip(images + np.float32(0.1) * np.sign(WEIGHTS), 0.0, 1.0)
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, atol=1.2e-7)


def test_closed_form_in_l2(images):
    attack = APGD(0.5, num_steps=20, norm="l2", value_range=(-9.0, 9.0), seed=0)
    expected = images + 0.5 * WEIGHTS / np.linalg.norm(WEIGHTS)
    np.testing.assert_allclose(
        ops.convert_to_numpy(attack(images, loss_fn=linear)), expected, atol=3e-4
    )


def test_it_finds_its_step_size_where_a_fixed_one_oscillates(images):
    losses = {}
    for name, attack in (
        ("fixed", PGD(0.5, num_steps=30, step_size=0.25, seed=0)),
        ("auto", APGD(0.5, num_steps=30, seed=0)),
    ):
        losses[name] = losses_of(bowl, attack(images, loss_fn=bowl))
    assert np.all(losses["auto"] > losses["fixed"])
    # The pixels further than 0.5 from the top end at the edge of the ball.
    missing = np.maximum(np.abs(images - 0.43) - 0.5, 0.0)
    best = -np.sum(missing**2, axis=(1, 2, 3))
    assert np.max(best - losses["auto"]) < 0.02


def test_images_do_not_depend_on_each_other(images):
    attack = APGD(0.3, num_steps=6, seed=0)

    def run(chosen):
        copy = APGD.from_config(attack.get_config())
        return ops.convert_to_numpy(copy(chosen, loss_fn=bowl))

    # The first image has the same random start in both batches.
    others = np.concatenate([images[:1], images[1:][::-1]])
    np.testing.assert_allclose(run(images)[0], run(others)[0], atol=1e-6)


def test_more_restarts_are_never_weaker(images):
    losses = []
    for num_restarts in (1, 3):
        attack = APGD(0.3, 4, num_restarts=num_restarts, seed=0)
        losses.append(losses_of(wavy, attack(images, loss_fn=wavy)))
    gains = np.diff(losses, axis=0)
    assert gains.min() >= -1e-5 and gains.max() > 0.01


def test_checkpoints_of_the_paper():
    # 22 %, then 3 % less each time, down to 6 % of 100 steps.
    ends = np.flatnonzero(checkpoint_windows(100)) + 1
    np.testing.assert_array_equal(ends, [22, 41, 57, 70, 80, 87, 93, 99])
    assert checkpoint_windows(100)[21] == 22 and checkpoint_windows(100)[40] == 19
    np.testing.assert_array_equal(checkpoint_windows(2), [1, 1])


def test_bad_arguments(images):
    for options, message in (
        ({"epsilon": -0.1}, "`epsilon` must be a finite number.*Received: epsilon=-0.1"),
        ({"num_steps": 0}, "`num_steps` must be an integer of at least 1"),
        ({"norm": "l7"}, "`norm` must be one of"),
        ({"num_restarts": 0}, "`num_restarts` must be an integer"),
        ({"value_range": (1.0, 0.0)}, "`value_range` must be a pair"),
    ):
        with pytest.raises(ValueError, match=message):
            APGD(**{"epsilon": 0.1, **options})
    with pytest.raises(ValueError, match="inputs of dtype uint8. Divide"):
        APGD(0.1)((255 * images).astype("uint8"), loss_fn=linear)


@pytest.mark.parametrize("num_restarts", [1, 2])
def test_never_weaker_than_its_start(num_restarts, images, check_budget):
    start = APGD(0.1, 20, seed=0)(images, loss_fn=wavy)
    attack = APGD(0.2, 2, num_restarts=num_restarts, seed=1)
    found = attack(images, loss_fn=wavy, start=start)
    check_budget(found, images, 0.2)
    assert np.all(losses_of(wavy, found) >= losses_of(wavy, start) - 1e-5)
    assert np.any(losses_of(wavy, attack(images, loss_fn=wavy)) < losses_of(wavy, start))
