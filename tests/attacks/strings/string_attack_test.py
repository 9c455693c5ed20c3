import json

import keras
import numpy as np
import pytest

from rocmr_keras.attacks import CharacterEdits
from rocmr_keras.attacks import HumanEdits
from rocmr_keras.attacks import RandomCharacterEdits
from rocmr_keras.attacks import RandomHumanEdits
from rocmr_keras.attacks import StringAttack
from rocmr_keras.attacks.strings.string_attack import StringSearch
from rocmr_keras.attacks.strings.string_attack import highest

CAPTIONS = ["a red apple", "", "zebra", " \n", "two dogs", "犬 ❤️"]
WRITTEN = [place for place, caption in enumerate(CAPTIONS) if caption.strip()]

ATTACKS = {
    "edits": (CharacterEdits, {"num_edits": 2, "num_positions": 5}),
    "all_places": (CharacterEdits, {"num_positions": None, "alphabet": "xyz"}),
    "no_new_words": (CharacterEdits, {"dictionary": {"red", "reds"}}),
    "random": (RandomCharacterEdits, {"num_edits": 2}),
    "human": (HumanEdits, {"num_edits": 2}),
    "human_typos": (HumanEdits, {"kinds": ("typo", "insert"), "dictionary": {"red", "reds"}}),
    "random_human": (RandomHumanEdits, {"num_edits": 2}),
}
DRAWING = ("random", "random_human")
SEARCHES = [name for name in ATTACKS if name not in DRAWING]


def build(which, **options):
    kind, settings = ATTACKS[which]
    return kind(**{**settings, **options})


def rarity(strings, owners):
    """Late letters are bad for the model, for some captions more than for others."""
    values = [sum(ord(c) % 32 for c in string if c.isascii()) for string in strings]
    return np.array(values, "float32") * (1.0 + np.asarray(owners))


@pytest.mark.parametrize("name", ATTACKS)
def test_config(name, check_config):
    check_config(build(name, seed=3))


@pytest.mark.parametrize("name", ATTACKS)
def test_settings_are_final(name):
    attack = build(name)
    for setting in attack.get_config():
        with pytest.raises(AttributeError, match=f"cannot be changed.*Received: {setting}='new'"):
            setattr(attack, setting, "new")


@pytest.mark.parametrize("name", ATTACKS)
def test_blank_captions_stay_and_none_becomes_blank(name):
    found = build(name, seed=0)(CAPTIONS, rarity)
    assert [found[1], found[3]] == ["", " \n"]
    assert all(text.strip() for text in np.array(found)[WRITTEN])
    assert all(before != after for before, after in zip(CAPTIONS, found) if before.strip())
    assert build(name)([], rarity) == [] and build(name)([""], None) == [""]
    " ".join(found).encode("utf-8")


@pytest.mark.parametrize("name", SEARCHES)
def test_only_a_finite_higher_score_wins(name):
    for bad in (np.nan, np.inf, 0.0, -1.0):

        def score(strings, owners):
            return np.array([0.0 if s == CAPTIONS[o] else bad for s, o in zip(strings, owners)])

        assert build(name)(CAPTIONS, score) == CAPTIONS
    assert build(name)(CAPTIONS, lambda strings, owners: np.full(len(strings), np.nan)) == CAPTIONS


@pytest.mark.parametrize("name", SEARCHES)
def test_captions_do_not_depend_on_each_other(name):
    found = build(name)(CAPTIONS, rarity)
    for place in (0, 2, 5):
        alone = build(name)([CAPTIONS[place]], lambda s, owners: rarity(s, owners + place))
        assert alone == [found[place]]


@pytest.mark.parametrize("name", SEARCHES)
def test_owners_are_places_in_the_captions(name):
    def score(strings, owners):
        assert np.asarray(owners).dtype.kind == "i" and len(strings) == len(owners)
        assert set(owners) <= {0, 2, 4, 5}
        # Each candidate still looks like the caption that it stands in for.
        for string, owner in zip(strings, owners):
            assert set(CAPTIONS[owner].casefold()) & set(string.casefold())
        return rarity(strings, owners)

    build(name)(CAPTIONS, score)


@pytest.mark.parametrize("name", DRAWING)
def test_draws_are_those_of_the_seed(name):
    attack = build(name, seed=1)
    first, second = attack(CAPTIONS, rarity), attack(CAPTIONS, rarity)
    assert first != second
    assert attack.fresh()(CAPTIONS, rarity) == first
    assert build(name, seed=1)(CAPTIONS, rarity) == first
    assert build(name, seed=2)(CAPTIONS, rarity) != first


@pytest.mark.parametrize("name", ["no_new_words", "human_typos"])
def test_descriptions_are_short_and_plain(name):
    described = build(name).describe()
    assert described["dictionary"].startswith("2 words, crc32 ")
    assert json.loads(json.dumps(described)) == described
    other = build(name, dictionary={"red", "blue"}).describe()
    assert other["dictionary"] != described["dictionary"]


class Counting(StringAttack):
    def __init__(self, seed=None):
        super().__init__(seed)
        self._freeze()

    def search(self, captions, score):
        search = StringSearch(captions, score)
        assert search.scores.tolist() == [1.0, 2.0]
        assert search.take([["aaa", "bb", "ccc"], []]) == [0, None]
        assert search.take([[], []]) == [None, None]
        assert search.take([["dd"], ["dddd"]]) == [None, 0]
        assert search.scores.tolist() == [3.0, 4.0]
        return search.best


def test_a_search_takes_what_is_better():
    sizes = []

    def score(strings, owners):
        sizes.append(len(strings))
        return [len(string) for string in strings]

    assert Counting()(["x", "", "yy"], score) == ["aaa", "", "dddd"]
    assert sizes == [2, 3, 2]


def test_highest():
    scores = np.array([1.0, 3.0, -np.inf, 3.0])
    assert highest(scores, 2) == [1, 3] and highest(scores, None) == [1, 3, 0, 2]


def test_side_and_kind():
    attack = build("edits")
    assert attack.side == "texts" and attack.writes_text
    assert not isinstance(attack, keras.layers.Layer)


def test_bad_arguments():
    attack = CharacterEdits()
    for run, message in (
        (lambda: attack("a cat", rarity), "`captions` must be a list.*'a cat'. Put a single"),
        (lambda: attack([b"a cat"], rarity), "`captions` must be a list of strings"),
        (lambda: attack(["a cat"], lambda s, o: 1.0), r"\(1,\). Received: shape \(\)"),
        (lambda: CharacterEdits(0), "`num_edits` must be an integer.*=0"),
        (lambda: CharacterEdits(num_positions=0), "`num_positions` must be an integer.*=0"),
        (lambda: CharacterEdits(alphabet=""), "`alphabet` must be a string.*alphabet=''"),
        (lambda: RandomCharacterEdits(alphabet=7), "`alphabet` must be.*alphabet=7"),
        (lambda: CharacterEdits(dictionary="cat"), "dictionary='cat'. Pass a set"),
    ):
        with pytest.raises(ValueError, match=message):
            run()
