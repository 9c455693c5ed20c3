import numpy as np
import pytest

from rocmr_keras.metrics import edit_distance
from rocmr_keras.metrics import text_changes


def naive_distance(first, second):
    if not first or not second:
        return len(first) + len(second)
    rest = naive_distance(first[1:], second[1:])
    if first[0] == second[0]:
        return rest
    return 1 + min(rest, naive_distance(first[1:], second), naive_distance(first, second[1:]))


@pytest.mark.processor
def test_edit_distance_equals_the_definition():
    random = np.random.default_rng(0)
    for _ in range(60):
        first, second = ("".join(random.choice([*"ab"], n)) for n in random.integers(0, 6, 2))
        assert edit_distance(first, second) == naive_distance(first, second)
    assert edit_distance("a red cat".split(), "red a cat".split()) == 2
    assert edit_distance("kitten", "sitting") == 3


def test_changes_are_those_of_the_changed():
    before = ["a red cat", "a dog", "a hat"]
    found = text_changes(before, ["a icon red cat", "a dog", "a gat"])
    assert found == {
        "changed_share": 2 / 3,
        "characters": {"mean": 3.0, "most": 5},
        "words": {"mean": 1.0, "most": 1},
    }
    nothing = {"mean": None, "most": None}
    assert text_changes(before, before) == {
        "changed_share": 0.0,
        "characters": nothing,
        "words": nothing,
    }
    assert text_changes([], [])["changed_share"] is None
