import numpy as np
import pytest

from rocmr_keras.attacks import HumanDraws
from rocmr_keras.attacks import HumanEdits
from rocmr_keras.attacks import RandomHumanEdits
from rocmr_keras.attacks.strings.all_edits import AllEdits
from rocmr_keras.attacks.strings.edit_kinds import KINDS
from rocmr_keras.attacks.strings.keyboard import neighbors
from rocmr_keras.metrics import edit_distance

ONE_EACH = {
    "insert": {"oh a cat.", "a oh cat.", "a cat oh."},
    "delete": {"cat.", "a."},
    "swap": {"cat a."},
    "repeat": {"a a cat.", "a cat cat."},
    "case": {"A cat.", "a CAT.", "a Cat."},
    "split": {"a c at.", "a ca t."},
    "join": {"acat."},
}
TEXTS = ["a red, blue cat!", "x", "שלום עולם", "हिन्दी में cafe\u0301", "犬 ❤️", "!?", "don't go"]


def every(text, *kinds, fillers=("oh",), dictionary=None):
    return AllEdits(kinds or KINDS, fillers, dictionary).every(text)


def bumpy(strings, owners=None):
    """A score without any pattern, the same in every process."""
    return np.array([sum(ord(c) ** 3 * (i + 7) % 101 for i, c in enumerate(s)) for s in strings])


@pytest.mark.parametrize("kind", ONE_EACH)
def test_one_edit(kind):
    found = every("a cat.", kind)
    assert set(found) == ONE_EACH[kind] and len(found) == len(set(found))


def test_blanks_around_a_word_that_is_left_out():
    assert every("a red, blue cat", "delete") == [
        "red, blue cat",
        "a, blue cat",
        "a red, cat",
        "a red, blue",
    ]
    assert every("cat", "delete") == []


def test_typos():
    found = set(every("a cat", "typo"))
    assert {"a at", "a ct", "a ca", "a ccat", "a act", "a cta", "a vat", "aa cat"} <= found
    keys = {letter: set(neighbors(letter)) for letter in "aqpG"}
    assert keys == {
        "a": {*"qwsz"},
        "q": {*"wa"},
        "p": {*"ol"},
        "G": {*"FHTYVB"},
    }
    assert neighbors("ש") == neighbors("3") == ()
    # A mark stays with its letter.
    assert set(every("e\u0301a", "typo")) >= {"ae\u0301", "a", "e\u0301"}
    assert not [text for text in every("e\u0301a", "typo") if text.startswith("\u0301")]


def test_neighbors_are_mutual():
    for letter in "abcdefghijklmnopqrstuvwxyz":
        assert all(letter in neighbors(other) for other in neighbors(letter))


@pytest.mark.parametrize("text", TEXTS)
def test_every_edit_is_small(text):
    for kind in KINDS:
        for edit in every(text, kind):
            assert edit.strip() and edit != text
            assert edit_distance(text.split(), edit.split()) <= 2
            characters = {"typo": 2, "split": 1, "join": 1}.get(kind)
            if characters and "\u0301" not in text and "ह" not in text:
                assert edit_distance(text, edit) <= characters
            edit.encode("utf-8")


def test_the_best_edit_is_made():
    for text in TEXTS:
        (found,) = HumanEdits(fillers=["oh"])([text], bumpy)
        assert bumpy([found]) == max(bumpy([text, *every(text)]))


@pytest.mark.parametrize("num_edits", [1, 2, 3])
def test_the_budget_is_a_number_of_edits(num_edits):
    found = HumanEdits(num_edits, fillers=["oh"])(TEXTS[:3], bumpy)
    for before, after in zip(TEXTS, found):
        assert after != before
        assert edit_distance(before.split(), after.split()) <= 2 * num_edits
    fewer = HumanEdits(max(num_edits - 1, 1), fillers=["oh"])(TEXTS[:3], bumpy)
    assert np.all(bumpy(found) >= bumpy(fewer)) and np.all(bumpy(fewer) > bumpy(TEXTS[:3]))


def test_a_round_scores_all_captions_at_once():
    calls = []

    def score(strings, owners):
        calls.append(sorted(set(owners)))
        return bumpy(strings)

    HumanEdits(num_edits=2)(TEXTS[:3], score)
    assert calls == [[0, 1, 2]] * 3


def test_where_no_edit_is_possible_the_caption_stays():
    for caption, kinds in (("x", ["delete", "swap", "join", "split"]), ("犬", ["typo"])):
        found = HumanEdits(kinds=kinds)([caption], lambda strings, owners: [*map(len, strings)])
        assert found == ["犬犬" if caption == "犬" else "x"]
        drawn = RandomHumanEdits(kinds=kinds, seed=0)([caption], None)
        assert drawn == found
    assert HumanEdits(kinds=["swap", "typo"])(["❤️", "!"], bumpy) == ["❤️", "!"]


def test_a_slip_makes_no_word():
    dictionary = {"cat", "at", "vat", "acat", "oh", "a"}
    assert "a vat" in every("a cat", "typo")
    found = every("a cat", dictionary=dictionary)
    assert not {"a at", "a vat", "acat", "a c at"} & set(found)
    # What is written on purpose may be one.
    assert {"oh a cat", "a a cat", "a ct", "a CAT"} <= set(found)


def test_random_edits_are_of_all_kinds():
    text = "a red cat on mats"
    found = RandomHumanEdits(seed=0, fillers=["oh"])([text] * 400, None)
    drawn = {kind: len(set(found) & set(every(text, kind))) for kind in KINDS}
    assert set(found) <= set(every(text)) and min(drawn.values()) >= 3
    twice = RandomHumanEdits(2, seed=0)([text] * 50, None)
    assert np.mean([edit_distance(text, edited) for edited in twice]) > 3


def test_draws_are_those_of_seed_and_key():
    draws = HumanDraws(5, fillers=["oh"], seed=1)
    found = draws("a red cat", (0, 7))
    assert found.shape == draws.shape == (1, 5) and found.dtype == object
    assert set(found.flat) <= set(every("a red cat")) and len(set(found.flat)) > 2
    np.testing.assert_array_equal(HumanDraws(5, fillers=["oh"], seed=1)("a red cat", (0, 7)), found)
    for other in (draws("a red cat", (1, 7)), HumanDraws(5, seed=2)("a red cat", (0, 7))):
        assert np.any(other != found)
    assert set(draws("", (0,)).flat) == {""} and set(draws(" ", (0,)).flat) == {" "}


def test_config(check_config):
    check_config(HumanDraws(3, 2, ["typo"], ["oh"], {"red"}, seed=4))


def test_bad_arguments():
    for kind in (HumanEdits, RandomHumanEdits, HumanDraws):
        for options, message in (
            ({"num_edits": 0}, "`num_edits` must be an integer.*=0"),
            ({"kinds": "typo"}, "`kinds` must be different names among.*kinds='typo'"),
            ({"kinds": ["typo", "typo"]}, "`kinds` must be different names"),
            ({"kinds": ["verb"]}, r"Received: kinds=\['verb'\]. Write e.g. kinds="),
            ({"fillers": [" "]}, "`fillers` must be a collection of strings, none of them"),
            ({"fillers": "a"}, "fillers='a'. Write e.g. fillers="),
            ({"dictionary": []}, "`dictionary` must be a collection of words"),
        ):
            with pytest.raises(ValueError, match=message):
                kind(**options)
    with pytest.raises(ValueError, match="`num_draws` must be an integer.*=0"):
        HumanDraws(0)
