import pytest

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import ImageAttack
from rocmr_keras.attacks import StringAttack


class Forgetful(ImageAttack):
    """Its author forgot to freeze it."""

    def __init__(self, strength, *, bright=True, **kwargs):
        super().__init__(**kwargs)
        self.strength = strength
        self.bright = bright
        self.calls = 0

    def call(self, inputs, loss_fn=None):
        self.calls += 1
        return inputs + self.strength


class ForgetfulStrings(StringAttack):
    def __init__(self, word, seed=None):
        super().__init__(seed)
        self.word = word

    def search(self, captions, score):
        self.captions = captions
        return [self.word for _ in captions]


class Child(PGD):
    """Stores a setting of its own after the constructor of `PGD` has frozen it."""

    def __init__(self, epsilon, colour="red", **kwargs):
        super().__init__(epsilon, **kwargs)
        self.colour = colour


def assert_final(attack, *names):
    for name in names:
        with pytest.raises(
            AttributeError, match=f"Received: {name}='new'.*{type(attack).__name__}"
        ):
            setattr(attack, name, "new")


def test_an_attack_is_frozen_at_its_first_call(images):
    attack = Forgetful(0.0)
    attack.strength = 0.5
    attack(images)
    assert_final(attack, "strength", "bright", "seed", "name", "epsilon_scale")
    attack.strength = attack.strength
    attack(images)
    assert attack.calls == 2


def test_so_is_one_on_strings():
    attack = ForgetfulStrings("cat")
    attack.word = "dog"
    assert attack(["a bird"], None) == ["dog"]
    assert_final(attack, "word", "seed")
    assert attack(["a fish"], None) == ["dog"] and attack.captions == ["a fish"]


def test_a_subclass_of_a_frozen_attack_stores_its_own_settings_once():
    attack = Child(0.1, colour="blue")
    assert attack.colour == "blue"
    assert_final(attack, "colour", "epsilon", "num_steps")
