import re

import numpy as np
import pytest

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import CharacterEdits
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.evaluation.examples import under_attack

ATTACKS = PGD(0.2, num_steps=3, seed=0), TokenSubstitution(1, num_candidates=8)


@pytest.fixture(scope="module")
def rows(model, split):
    models = {"one": model, "two": model}
    return under_attack.rows_under_attack(models, split, *ATTACKS, count=5, seed=1)


def test_each_query_stands_once_for_each_model(rows):
    assert [row["label"] for row in rows] == ["one, attacked", "two, attacked"] * 5
    assert [isinstance(row["query"], str) for row in rows] == [False] * 4 + [True] * 6
    for first, second in zip(rows[::2], rows[1::2]):
        # The same model twice: the same attack, the same results.
        np.testing.assert_array_equal(first["query"], second["query"])
        assert first["rank"] == second["rank"] and first["scores"] == second["scores"]


def test_only_answered_queries_are_drawn_and_then_attacked(rows, split):
    assert all(1 <= row["rank_before"] <= 5 for row in rows)
    assert any(row["rank"] > row["rank_before"] for row in rows)
    for row in rows[4:]:
        assert row["query_before"] in split.captions
        assert row["query"] != row["query_before"]


def test_captions_may_be_attacked_as_strings(model, split):
    attacks = ATTACKS[0], CharacterEdits(1, seed=0)
    rows = under_attack.rows_under_attack({"one": model}, split, *attacks, count=1)
    assert len(rows) == 1 and rows[0]["query"] != rows[0]["query_before"]


def test_bad_arguments(model, split):
    with pytest.raises(ValueError, match="Received: an empty one"):
        under_attack.rows_under_attack({}, split, *ATTACKS)
    with pytest.raises(ValueError, match=re.escape("`image_attack`")):
        under_attack.rows_under_attack({"one": model}, split, ATTACKS[1], ATTACKS[1])
