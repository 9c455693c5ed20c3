import numpy as np
import pytest

from rocmr_keras.attacks import CharacterDraws


def distance(first, second):
    """Edit distance, row by row of the usual table."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        last, row = row, [i]
        for j, b in enumerate(second, 1):
            row.append(min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b)))
    return row[-1]


def test_all_strings_are_one_edit_away_and_a_row_is_one_place():
    draws = CharacterDraws(num_positions=6, num_characters=9, alphabet="xyz")
    caption = "a red apple"
    found = draws(caption, (0, 5))
    assert found.shape == draws.shape == (6, 10)
    assert {distance(caption, text) for text in found.flat} <= {0, 1}
    for row in found[:, 1:]:
        # A gap takes a letter; a character is replaced by one, or deleted.
        changed = {(len(text) - len(caption)) for text in row}
        assert changed in ({1}, {0, -1})
        assert len(set(row)) == len(changed - {-1}) * 3 + (-1 in changed)
    probes = found[:, 0]
    assert all(" " in text or len(text) == len(caption) - 1 for text in probes)
    assert len(set(probes)) > 3


def test_draws_are_those_of_seed_and_key():
    caption, options = "two dogs play", {"num_positions": 3, "num_characters": 2}
    first = CharacterDraws(**options)(caption, (0, 1))
    np.testing.assert_array_equal(CharacterDraws(**options)(caption, (0, 1)), first)
    for other in (
        CharacterDraws(**options)(caption, (1, 1)),
        CharacterDraws(**options, seed=1)(caption, (0, 1)),
    ):
        assert np.any(other != first)


def test_what_may_not_be_is_the_caption():
    # Other edits of "b" are blank, in the dictionary, or "b" itself.
    draws = CharacterDraws(9, 9, alphabet="ab ", dictionary={"a", "bb", "ba"})
    found = set(draws("b", (0,)).flat)
    assert found == {"b", "ab", " b", "b "}
    assert set(CharacterDraws(2, 3)(" ", (0,)).flat) == {" "}
    assert set(CharacterDraws(2, 3)("", (0,)).flat) == {""}


def test_config(check_config):
    check_config(CharacterDraws(2, 3, "abc", {"red"}, seed=4))


def test_bad_arguments():
    for options, message in (
        ({"num_positions": 0}, "`num_positions` must be an integer.*=0"),
        ({"num_characters": 0}, "`num_characters` must be an integer.*=0"),
        ({"alphabet": ""}, "`alphabet` must be a string.*alphabet=''"),
        ({"dictionary": "cat"}, "dictionary='cat'. Pass a set"),
    ):
        with pytest.raises(ValueError, match=message):
            CharacterDraws(**options)
