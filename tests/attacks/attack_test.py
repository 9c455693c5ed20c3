import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import APGD
from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import Attack
from rocmr_keras.attacks import EmbeddingAttack
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.attacks import RandomNoise
from rocmr_keras.attacks import RandomSubstitution
from rocmr_keras.attacks import Square
from rocmr_keras.attacks import TokenAttack
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.attacks import Vocabulary
from rocmr_keras.attacks.attack import keep_better
from rocmr_keras.attacks.attack import safe_gradient
from rocmr_keras.backend import part_of_batch

CONTINUOUS = {
    "fgsm": (PGD, {"epsilon": 0.1, "num_steps": 1}),
    "pgd": (PGD, {"epsilon": 0.1, "num_steps": 3}),
    "pgd_restarts": (PGD, {"epsilon": 0.1, "num_steps": 2, "num_restarts": 2}),
    "pgd_last": (PGD, {"epsilon": 0.1, "num_steps": 2, "keep_best": False}),
    "pgd_l2": (PGD, {"epsilon": 0.5, "num_steps": 2, "norm": "l2"}),
    "mim": (PGD, {"epsilon": 0.1, "num_steps": 3, "momentum": 1.0}),
    "apgd": (APGD, {"epsilon": 0.1, "num_steps": 5}),
    "apgd_l2": (APGD, {"epsilon": 0.5, "num_steps": 5, "num_restarts": 2, "norm": "l2"}),
    "square": (Square, {"epsilon": 0.1, "num_steps": 5}),
    "embedding_pgd": (EmbeddingPGD, {"epsilon": 0.1}),
    "noise": (RandomNoise, {"epsilon": 0.1}),
    "noise_l2": (RandomNoise, {"epsilon": 0.5, "norm": "l2"}),
}
ATTACKS = {
    **CONTINUOUS,
    "substitution": (TokenSubstitution, {"num_substitutions": 2, "num_candidates": 8}),
    "hot_flip": (TokenSubstitution, {"match_length": False, "look_ahead": False}),
    "random_substitution": (RandomSubstitution, {"num_substitutions": 3}),
}
DRAWING = [name for name in ATTACKS if name not in ("substitution", "hot_flip")]


def build(which, **options):
    kind, settings = ATTACKS[which]
    return kind(**{**settings, **options})


def wavy(inputs):
    """Losses `(batch,)` of images or embeddings, with a gradient everywhere."""
    axes = tuple(range(1, len(inputs.shape)))
    return ops.sum(ops.sin(5.0 * inputs + 1.0), axis=axes)


@pytest.fixture(scope="module")
def vocabulary():
    table = np.random.RandomState(3).normal(size=(50, 8)).astype("float32")
    table = ops.convert_to_tensor(table)
    return Vocabulary(lambda ids: ops.take(table, ids, axis=0), table, np.arange(50) > 3)


@pytest.fixture
def run(images, batch, ordinary, vocabulary):
    """Runs an attack of any kind on the inputs it is for; returns NumPy."""

    def run(attack, loss_fn=wavy, rows=slice(None)):
        inputs, options = images[rows], {}
        if isinstance(attack, EmbeddingAttack):
            inputs = images.reshape(4, 6, 8)[rows]
        if isinstance(attack, TokenAttack):
            inputs = batch["token_ids"][rows]
            options = {"positions": ordinary[rows], "vocabulary": vocabulary}
        return inputs, ops.convert_to_numpy(attack(inputs, loss_fn=loss_fn, **options))

    return run


@pytest.mark.parametrize("name", ATTACKS)
def test_config(name, check_config):
    check_config(build(name, seed=7, name="mine"))


@pytest.mark.parametrize("name", ATTACKS)
def test_settings_are_final(name):
    attack = build(name)
    for setting, value in {**attack.get_config(), "epsilon_scale": 0.5}.items():
        with pytest.raises(AttributeError, match=f"cannot be changed.*Received: {setting}='new'"):
            setattr(attack, setting, "new")
        assert setting == "epsilon_scale" or getattr(attack, setting) == value


@pytest.mark.parametrize("name", ATTACKS)
def test_a_fresh_copy_has_drawn_nothing(name, run):
    attack = build(name, seed=1)
    _, first = run(attack)
    np.testing.assert_array_equal(run(attack.fresh())[1], first)
    assert attack.fresh().get_config() == attack.get_config()


class Hidden(PGD):
    """Its config forgets an argument."""

    def __init__(self, epsilon, colour="red"):
        super().__init__(epsilon)
        self.colour = colour


def test_a_copy_that_would_have_another_budget_is_refused():
    with pytest.raises(ValueError, match="every argument.*Received: Hidden without .'colour'."):
        Hidden(0.1, "blue").fresh()


def test_an_attack_of_no_kind_says_what_it_lacks():
    with pytest.raises(NotImplementedError, match="Attack must say how .*or implement `perturb`"):
        Attack().perturb(None, {}, None)


def test_describe_is_the_config_but_for_the_name():
    description = PGD(0.1, num_steps=3, seed=2).describe()
    assert description["epsilon"] == 0.1 and description["num_steps"] == 3
    assert "name" not in description


EVERY_ATTACK = """
import sys
from rocmr_keras import attacks
assert "tensorflow" not in sys.modules, "before"
attacks.PGD(0.1), attacks.APGD(0.1), attacks.Square(0.1), attacks.RandomNoise(0.1)
attacks.EmbeddingPGD(0.1), attacks.RandomSubstitution(), attacks.CharacterChoice()
attacks.TokenSubstitution(candidates=attacks.WholeWords())
attacks.TokenSubstitution(candidates=attacks.NearestNeighbors())
attacks.CharacterEdits(), attacks.RandomCharacterEdits()
attacks.CharacterDraws(), attacks.HumanEdits(), attacks.RandomHumanEdits(), attacks.HumanDraws()
assert "tensorflow" not in sys.modules, "after"
"""


def test_no_attack_loads_tensorflow_where_it_computes_nothing():
    if keras.config.backend() == "tensorflow":
        pytest.skip("TensorFlow is what computes.")
    command = [sys.executable, "-c", EVERY_ATTACK]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", DRAWING)
def test_draws_are_those_of_the_seed(name, run):
    attack = build(name, seed=1)
    _, first = run(attack)
    _, second = run(attack)
    assert np.any(first != second)
    _, again = run(build(name, seed=1))
    np.testing.assert_array_equal(again, first)
    _, other = run(build(name, seed=2))
    assert np.any(other != first)


@pytest.mark.parametrize("name", DRAWING)
def test_a_part_of_a_batch_is_attacked_as_in_the_whole(name, run):
    _, whole = run(build(name, seed=1))
    with part_of_batch(4, 1):
        _, part = run(build(name, seed=1), rows=slice(1, 3))
    np.testing.assert_allclose(part, whole[1:3], rtol=0, atol=1e-6)


def test_substitution_draws_nothing(run):
    attack = build("substitution")
    np.testing.assert_array_equal(run(attack)[1], run(attack)[1])


@pytest.mark.parametrize("name", CONTINUOUS)
def test_epsilon_scale(name, run):
    attack = build(name, seed=1)
    attack.epsilon_scale.assign(0.0)
    inputs, found = run(attack)
    np.testing.assert_array_equal(found, inputs)
    halved, half_as_large = build(name, seed=1), build(name, seed=1, epsilon=attack.epsilon / 2)
    halved.epsilon_scale.assign(0.5)
    _, found = run(halved)
    np.testing.assert_allclose(found, run(half_as_large)[1], atol=1e-6)
    assert np.abs(found - inputs).max() > 0.01


@pytest.mark.parametrize("name", CONTINUOUS)
def test_epsilon_zero(name, run):
    inputs, found = run(build(name, epsilon=0))
    np.testing.assert_array_equal(found, inputs)


STEPPING = [name for name, (kind, _) in CONTINUOUS.items() if kind not in (RandomNoise, Square)]


KEEPING = [name for name in [*STEPPING, "square"] if name != "pgd_last"]


@pytest.mark.parametrize("name", STEPPING)
def test_stalled_gradients_are_counted(name, run):
    # Flat, not a number, infinite, and sound.
    factors = ops.convert_to_tensor(np.array([0.0, np.nan, np.inf, 1.0], "float32"))
    options = {} if "apgd" in name else {"random_start": False}
    attack = build(name, **options)
    inputs, found = run(attack, lambda inputs: factors * wavy(inputs))
    np.testing.assert_array_equal(found[:3], inputs[:3])
    assert np.isfinite(found).all() and np.any(found[3] != inputs[3])
    assert attack.stalled_share == 0.75
    run(attack)
    assert attack.stalled_share == 0.375
    attack.reset_counts()
    assert attack.stalled_share == 0.0


def test_stalled_gradients_of_a_substitution(run):
    attack = build("substitution")
    inputs, found = run(attack, lambda embeddings: 0.0 * wavy(embeddings))
    np.testing.assert_array_equal(found, inputs)
    assert attack.stalled_share == 1.0


@pytest.mark.parametrize("name", KEEPING)
@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_only_a_finite_higher_loss_wins(name, value, run):
    def loss_fn(attacked):
        """Zero at the clean input, `value` everywhere else."""
        clean = ops.convert_to_tensor(inputs)
        axes = tuple(range(1, len(inputs.shape)))
        return ops.where(ops.all(attacked == clean, axis=axes), 0.0, value)

    inputs, moved = run(build(name, seed=1))
    assert np.any(moved != inputs)
    _, found = run(build(name, seed=1), loss_fn)
    np.testing.assert_array_equal(found, inputs)


def test_safe_gradient():
    inputs = ops.convert_to_tensor(np.array([[4.0, 1.0], [0.0, 1.0], [1.0, 1.0]], "float32"))
    factors = ops.convert_to_tensor(np.array([1.0, 1.0, 0.0], "float32"))
    losses, gradient, stalled = safe_gradient(
        lambda inputs: factors * ops.sum(ops.sqrt(inputs), axis=1), inputs
    )
    # The root has an infinite slope at zero: that example's whole gradient goes.
    np.testing.assert_allclose(ops.convert_to_numpy(losses), [3.0, 1.0, 0.0])
    np.testing.assert_allclose(ops.convert_to_numpy(gradient), [[0.25, 0.5], [0, 0], [0, 0]])
    np.testing.assert_array_equal(ops.convert_to_numpy(stalled), [0.0, 1.0, 1.0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_safe_gradient_of_tiny_and_bad_slopes(bad):
    slopes = np.array([[1e-30, -1e-30], [-1e30, 1e30], [1.0, bad], [1.0, -1.0]], "float32")
    inputs = ops.convert_to_tensor(np.ones((4, 2), "float32"))
    weights = ops.convert_to_tensor(slopes)
    _, gradient, stalled = safe_gradient(lambda x: ops.sum(weights * x, axis=1), inputs)
    # One that is not a number stops its example, opposite ones that cancel do not.
    slopes[2] = 0.0
    np.testing.assert_allclose(ops.convert_to_numpy(gradient), slopes, rtol=1e-6)
    np.testing.assert_array_equal(ops.convert_to_numpy(stalled), [0.0, 0.0, 1.0, 0.0])


def test_keep_better():
    best = ops.convert_to_tensor(np.zeros((6, 1, 2), "float32"))
    candidate = ops.convert_to_tensor(np.ones((6, 1, 2), "float32"))
    losses = ops.convert_to_tensor(np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0], "float32"))
    others = np.array([2.0, 0.5, 1.0, np.nan, np.inf, -np.inf], "float32")
    kept, kept_losses = keep_better(best, losses, candidate, ops.convert_to_tensor(others))
    np.testing.assert_array_equal(ops.convert_to_numpy(kept)[:, 0, 0], [1, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(ops.convert_to_numpy(kept_losses), [2, 1, 1, 1, 1, 1])
