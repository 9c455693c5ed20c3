import pytest

from rocmr_keras.data.emoji.captions import code_points
from rocmr_keras.data.emoji.captions import distinct
from rocmr_keras.data.emoji.captions import is_plain
from rocmr_keras.data.emoji.captions import is_spoken
from rocmr_keras.data.emoji.captions import natural
from rocmr_keras.data.emoji.captions import unambiguous


@pytest.mark.parametrize(
    "text, codes",
    [
        ("\U0001f34e", ("1F34E",)),
        ("1f34e", ("1F34E",)),
        ("\u2764\ufe0f", ("2764",)),
        ("2764-FE0F", ("2764",)),
        ("0023-FE0F-20E3", ("0023", "20E3")),
        ("23-20e3", ("0023", "20E3")),
        ("#\ufe0f\u20e3", ("0023", "20E3")),
    ],
)
def test_code_points(text, codes):
    assert code_points(text) == codes


@pytest.mark.parametrize(
    "name, words",
    [
        (":red_apple:", "red apple"),
        ("RED APPLE", "red apple"),
        ("woman-running", "woman running"),
        (":one_o’clock:", "one o'clock"),
        ("Japanese “here” button", "japanese here button"),
        (":A_button_(blood_type):", "a button blood type"),
        ("family: man, woman", "family man woman"),
    ],
)
def test_natural(name, words):
    assert natural(name) == words


def test_what_a_person_would_say():
    assert all(map(is_spoken, ["red apple", "8ball", "flag for uganda"]))
    assert not any(map(is_spoken, ["", "+1", "100", "u7121", "clock1", "ok", "flag ug"]))
    assert is_plain("red heart") and not is_plain("heavy black heart")


def test_distinct_keeps_the_better_spaced():
    captions = ["thumbsup", "thumbs up", "", "yes", "thumbs up", "yes"]
    assert distinct(captions) == ["thumbs up", "yes"]


def test_unambiguous():
    captions = {"a": ["dog", "pet", "animal"], "b": ["dog face", "dog", "pet"], "c": ["cat"]}
    kept, dropped = unambiguous(captions)
    assert kept == {"a": ["dog", "animal"], "b": ["dog face"], "c": ["cat"]}
    assert dropped == ["dog", "pet"]
