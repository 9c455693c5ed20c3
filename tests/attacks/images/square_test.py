import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import APGD
from rocmr_keras.attacks import RandomNoise
from rocmr_keras.attacks import Square
from rocmr_keras.attacks.images.square import square_sides
from rocmr_keras.attacks.images.square import squares

WEIGHTS = np.random.RandomState(4).normal(size=(1, 1, 3)).astype("float32")


def colored(inputs):
    """Linear in the mean colour, which squares and stripes can move."""
    return ops.sum(inputs * ops.convert_to_tensor(WEIGHTS), axis=(1, 2, 3))


def stairs(inputs):
    """The same behind a quantiser: no gradient anywhere."""
    return colored(ops.round(10.0 * inputs) / 10.0)


def losses_of(loss_fn, inputs):
    return ops.convert_to_numpy(loss_fn(ops.convert_to_tensor(inputs)))


@pytest.mark.parametrize("epsilon", [0.0, 8 / 255, 0.7])
def test_ball_and_box(epsilon, images, check_budget):
    found = Square(epsilon, num_steps=6, seed=0)(images, loss_fn=colored)
    check_budget(found, images, epsilon)
    assert np.all(losses_of(colored, found) >= losses_of(colored, images) - 1e-5)


def test_more_steps_are_better_than_noise_and_no_better_than_the_optimum(images):
    losses = {"clean": losses_of(colored, images)}
    for name, attack in (
        ("noise", RandomNoise(0.1, seed=0)),
        ("few", Square(0.1, num_steps=5, seed=0)),
        ("many", Square(0.1, num_steps=80, seed=0)),
    ):
        losses[name] = losses_of(colored, attack(images, loss_fn=colored))
    optimum = np.clip(images + np.float32(0.1) * np.sign(WEIGHTS), 0.0, 1.0)
    optimum = losses_of(colored, optimum)
    assert np.all(losses["many"] > losses["noise"]) and losses["many"].mean() > losses["few"].mean()
    assert np.all(losses["many"] <= optimum + 1e-4)
    gained = (losses["many"] - losses["clean"]) / (optimum - losses["clean"])
    assert gained.min() > 0.6


def test_it_needs_no_gradient(images):
    white_box = APGD(0.1, num_steps=5, seed=0)
    stuck = losses_of(stairs, white_box(images, loss_fn=stairs))
    assert white_box.stalled_share == 1.0
    found = losses_of(stairs, Square(0.1, num_steps=40, seed=0)(images, loss_fn=stairs))
    assert np.all(found > stuck + 0.5)


def test_sides_of_the_squares():
    sides = square_sides(10000, 0.8, 32, 32)
    assert sides[0] == 29 and sides[-1] == round(np.sqrt(0.8 / 2**8) * 32)
    changes = np.flatnonzero(np.diff(sides)) + 1
    # Halved after steps 10, 50, 200, ... of 10,000.
    np.testing.assert_array_equal(changes[:3], [11, 51, 201])
    assert np.all(np.diff(square_sides(50, 1.0, 8, 20)) <= 0)
    assert square_sides(50, 1.0, 8, 20).max() == 8 and square_sides(9, 0.01, 2, 2).min() == 1


def test_squares_lie_inside_and_reach_every_edge():
    places = np.array([[0.0, 0.0], [0.999999, 0.999999], [0.5, 0.0]], "float32")
    places = ops.convert_to_tensor(places)
    mask = ops.convert_to_numpy(squares(places, 2, height=4, width=5))[..., 0]
    assert mask.shape == (3, 4, 5)
    np.testing.assert_array_equal(mask.sum(axis=(1, 2)), [4, 4, 4])
    assert mask[0, :2, :2].all() and mask[1, 2:, 3:].all() and mask[2, 1:3, :2].all()


def test_bad_arguments(images):
    for options, message in (
        ({"epsilon": -0.1}, "`epsilon` must be a finite number"),
        ({"num_steps": 0}, "`num_steps` must be an integer of at least 1"),
        ({"initial_share": 0.0}, r"`initial_share` must be in \(0, 1\]. Received: initial_share=0"),
        ({"value_range": (1.0, 0.0)}, "`value_range` must be a pair"),
    ):
        with pytest.raises(ValueError, match=message):
            Square(**{"epsilon": 0.1, **options})
    with pytest.raises(ValueError, match="inputs of dtype uint8. Divide"):
        Square(0.1)((255 * images).astype("uint8"), loss_fn=colored)
