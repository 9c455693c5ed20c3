import numpy as np
import pytest

from rocmr_keras.attacks import APGD
from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import Attack
from rocmr_keras.attacks import CharacterChoice
from rocmr_keras.attacks import CharacterEdits
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.attacks import RandomNoise
from rocmr_keras.attacks import Square
from rocmr_keras.attacks import TokenAttack
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.attacks import checks


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "4/255", None])
def test_bad_budget(value):
    with pytest.raises(ValueError, match="`epsilon` must be a finite number.*Received: epsilon="):
        checks.check_budget("epsilon", value)


def test_budget():
    assert checks.check_budget("epsilon", 0) == 0
    assert checks.check_budget("epsilon", np.float64(0.5)) == 0.5
    assert checks.check_budget("step_size", None, optional=True) is None


def test_numbers_of_numpy_become_plain_ones():
    budget = checks.check_budget("epsilon", np.float32(0.5))
    count = checks.check_count("num_steps", np.int64(3))
    assert (budget, type(budget), count, type(count)) == (0.5, float, 3, int)


@pytest.mark.parametrize("make", [PGD, APGD, Square, RandomNoise])
def test_a_budget_in_bytes(make):
    with pytest.raises(ValueError, match="epsilon=8, value_range=.0.0, 1.0.. Was 8 / 255 meant"):
        make(8)
    assert make(8, value_range=(0.0, 255.0)).epsilon == 8


def test_a_budget_in_another_norm_may_be_large():
    assert PGD(3.0, norm="l2").epsilon == 3.0


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


@pytest.mark.parametrize(
    "attack, side, options",
    [
        (PGD(0.1), "images", {"kinds": (Attack,), "batch_keys": checks.QUERY_KEYS}),
        (CharacterChoice(), "texts", {"kinds": (Attack,)}),
        (CharacterEdits(), "texts", {"batch_keys": checks.QUERY_KEYS, "writes_text": True}),
        (TokenSubstitution(), "texts", {"kinds": (TokenAttack,), "writes_text": True}),
        (EmbeddingPGD(0.1), "texts", {"batch_keys": checks.QUERY_KEYS}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_attacks_that_fit(attack, side, options):
    assert checks.check_attack("attack", attack, side, **options) is None


@pytest.mark.parametrize(
    "attack, side, options, message",
    [
        (PGD, "images", {}, r"be an attack, not its class. Received: x=PGD. Write e.g. PGD\("),
        (0.1, "images", {}, r"be an attack. Received: x=0.1. Write e.g. PGD\(epsilon="),
        (None, "texts", {}, r"be an attack. Received: x=None. Write e.g. TokenSubst"),
        (CharacterEdits(), "images", {}, "perturb images. Received: CharacterEdits.* texts. Use"),
        (CharacterEdits(), "texts", {"kinds": (Attack,)}, "a kind of Attack. Received: Character"),
        (EmbeddingPGD(1), "texts", {"kinds": (TokenAttack,)}, "TokenAttack.* of EmbeddingAttack"),
        (CharacterChoice(), "texts", {"batch_keys": checks.QUERY_KEYS}, "do without .'candidate"),
        (EmbeddingPGD(1), "texts", {"writes_text": True}, "write a text that can be read. Rec"),
        (Attack(), "texts", {}, "perturb texts. Received: Attack, .*which perturbs None"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_attacks_that_do_not_fit(attack, side, options, message):
    with pytest.raises(ValueError, match=f"`x` must .*{message}"):
        checks.check_attack("x", attack, side, **options)
