import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import EmbeddingPGD

RANDOM = np.random.RandomState(5)
# The second token is long, the third has an embedding of zero.
SCALES = np.array([1.0, 4.0, 0.0, 0.1, 1.0, 1.0]).reshape(1, 6, 1)
EMBEDDINGS = (SCALES * RANDOM.normal(size=(4, 6, 8)) / 3).astype("float32")
WEIGHTS = RANDOM.normal(size=(6, 8)).astype("float32")
SETTINGS = {
    "one_step": {"num_steps": 1, "random_start": False},
    "random_start": {"num_steps": 2},
    "loop": {"num_steps": 6},
    "last_iterate": {"num_steps": 2, "keep_best": False},
    "huge_steps": {"num_steps": 2, "step_size": 100.0},
}


def linear(embeddings):
    return ops.sum(embeddings * ops.convert_to_tensor(WEIGHTS), axis=(1, 2))


def wavy(embeddings):
    return ops.sum(ops.sin(20.0 * embeddings), axis=(1, 2))


def losses_of(loss_fn, embeddings):
    return ops.convert_to_numpy(loss_fn(ops.convert_to_tensor(embeddings)))


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.5])
@pytest.mark.parametrize("name", SETTINGS)
def test_each_token_stays_in_its_own_ball(name, epsilon, ordinary):
    attack = EmbeddingPGD(epsilon, seed=0, **SETTINGS[name])
    found = ops.convert_to_numpy(attack(EMBEDDINGS, loss_fn=wavy, positions=ordinary))
    moved = np.linalg.norm(found.astype("float64") - EMBEDDINGS, axis=-1)
    radius = epsilon * np.linalg.norm(EMBEDDINGS.astype("float64"), axis=-1)
    assert np.all(moved <= radius + 1.2e-7)
    np.testing.assert_array_equal(found[~ordinary], EMBEDDINGS[~ordinary])
    assert np.any(moved > 0) == (epsilon > 0)
    if name != "last_iterate":
        assert np.all(losses_of(wavy, found) >= losses_of(wavy, EMBEDDINGS) - 1e-5)


def test_closed_form():
    found = EmbeddingPGD(0.5, num_steps=1, random_start=False)(EMBEDDINGS, loss_fn=linear)
    lengths = np.linalg.norm(EMBEDDINGS, axis=-1, keepdims=True)
    directions = WEIGHTS / np.linalg.norm(WEIGHTS, axis=-1, keepdims=True)
    expected = EMBEDDINGS + 0.5 * lengths * directions
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, atol=2e-6)


def test_more_steps_are_never_weaker():
    losses = [losses_of(wavy, EMBEDDINGS)]
    for num_steps in (1, 2, 3):
        attack = EmbeddingPGD(0.5, num_steps, step_size=0.2, seed=0)
        losses.append(losses_of(wavy, attack(EMBEDDINGS, loss_fn=wavy)))
    gains = np.diff(losses, axis=0)
    assert gains.min() >= -1e-5 and gains[1:].max() > 0.01


def test_larger_epsilon_is_never_weaker():
    losses = [losses_of(linear, EMBEDDINGS)]
    for epsilon in (0.01, 0.1, 1.0):
        attack = EmbeddingPGD(epsilon, random_start=False)
        losses.append(losses_of(linear, attack(EMBEDDINGS, loss_fn=linear)))
    assert np.diff(losses, axis=0).min() > 0.001


def test_tokens_do_not_depend_on_each_other(ordinary):
    attack = EmbeddingPGD(0.5, random_start=False)
    found = ops.convert_to_numpy(attack(EMBEDDINGS, loss_fn=linear))
    masked = ops.convert_to_numpy(attack(EMBEDDINGS, loss_fn=linear, positions=ordinary))
    np.testing.assert_allclose(masked[ordinary], found[ordinary], atol=1e-6)


def test_bad_arguments():
    for options, message in (
        ({"epsilon": float("nan")}, "`epsilon` must be a finite number.*Received: epsilon=nan"),
        ({"num_steps": 1.5}, "`num_steps` must be an integer of at least 1"),
        ({"step_size": "big"}, "`step_size` must be a finite number"),
    ):
        with pytest.raises(ValueError, match=message):
            EmbeddingPGD(**{"epsilon": 0.1, **options})
