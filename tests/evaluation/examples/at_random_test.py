import numpy as np
import pytest

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import CharacterChoice
from rocmr_keras.attacks import CharacterEdits
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.evaluation.examples import at_random
from rocmr_keras.reports.pictures.changes import changed_words

COLOURS = ("red", "green", "blue", "yellow", "cyan", "magenta")


@pytest.fixture(scope="module")
def rows(model, split):
    return at_random.retrieval_rows(model, split, count=5, seed=1)


def test_rows_hold_what_the_sheet_shows(rows):
    """Three captions look for images, two images for captions."""
    assert [isinstance(row["query"], str) for row in rows] == [True] * 3 + [False] * 2
    for row in rows:
        assert set(row) == {"query", "results", "scores", "correct", "rank"}
        # Of seven images and of twelve captions the first ten.
        shown = 7 if isinstance(row["query"], str) else 10
        assert len(row["results"]) == len(row["scores"]) == len(row["correct"]) == shown
        assert row["scores"] == sorted(row["scores"], reverse=True)
        for result in row["results"]:
            assert isinstance(result, str) != isinstance(row["query"], str)
        for picture in (row["query"], row["results"][0]):
            if not isinstance(picture, str):
                assert picture.shape == (4, 4, 3) and picture.dtype == np.float32
        assert row["correct"][0] == (row["rank"] == 1)


def test_text_queries_are_right_in_the_toy(rows):
    assert all(row["rank"] == 1 and row["correct"][0] is True for row in rows[:3])


def same(first, second):
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    return np.array_equal(first, second)


def test_rows_depend_on_the_seed_alone(rows, model, split):
    assert same(at_random.retrieval_rows(model, split, count=5, seed=1), rows)
    assert not same(at_random.retrieval_rows(model, split, count=5, seed=2), rows)


def test_each_query_is_of_another_image(model, split):
    rows = at_random.retrieval_rows(model, split, count=20, seed=3)
    # Seven images of six ids.
    assert [isinstance(row["query"], str) for row in rows] == [True] * 3 + [False] * 3
    for row in rows:
        assert row["rank"] >= 1
    colours = [next(c for c in COLOURS if c in row["query"]) for row in rows[:3]]
    pictures = [row["query"].round(1).tobytes() for row in rows[3:]]
    assert len(set(colours)) == 3 and len(set(pictures)) == 3


@pytest.fixture(scope="module")
def draw_pairs(model, split):
    def draw_pairs(count):
        attacks = PGD(0.2, num_steps=3, seed=0), TokenSubstitution(1, num_candidates=8)
        return at_random.adversarial_pairs(model, split, *attacks, count=count, seed=1)

    return draw_pairs


@pytest.fixture(scope="module")
def pairs(draw_pairs):
    return draw_pairs(3)


def test_pairs_hold_what_the_sheet_shows(pairs, split):
    assert len(pairs) == 3
    for pair in pairs:
        assert pair["caption"] in split.captions
        assert pair["adversarial_caption"] != pair["caption"]
        assert pair["retrieved_caption"] in split.captions
        shapes = {pair[name].shape for name in ("image", "adversarial_image", "retrieved_image")}
        assert shapes == {(4, 4, 3)}
        assert np.abs(pair["image"] - pair["adversarial_image"]).max() <= 0.2 + 1e-6
        before, after = pair["text_rank"]
        assert before == 1 < after
        assert len(pair["image_rank"]) == 2 and min(pair["image_rank"]) >= 1


def test_pairs_are_reproducible_and_no_more_than_there_are(pairs, draw_pairs):
    assert same(draw_pairs(3), pairs)
    assert len(draw_pairs(99)) == 10


def test_edited_characters_are_in_the_caption_as_it_was_written(model, split):
    attacks = PGD(0.2, num_steps=1, seed=0), CharacterEdits(1, seed=0)
    for pair in at_random.adversarial_pairs(model, split, *attacks, count=4, seed=1):
        assert pair["caption"] in split.captions
        # One edit: the lengths differ by one at most, and all but one place is as it was.
        before, after = pair["caption"], pair["adversarial_caption"]
        assert before != after and abs(len(before) - len(after)) <= 1
        assert pair["text_rank"][0] == 1 < pair["text_rank"][1]
        marked = [word for word, changed in changed_words(before, after)[1] if changed]
        assert 1 <= len(marked) <= 2


def test_attacks_that_do_not_fit_are_refused(model, split):
    for image_attack, text_attack, message in (
        (PGD(0.2), EmbeddingPGD(0.1), "write a text that can be read. Received: EmbeddingPGD"),
        (PGD(0.2), CharacterChoice(), "do without .*Received: CharacterChoice"),
        (PGD, CharacterEdits(), "be an attack, not its class. Received: image_attack=PGD"),
    ):
        with pytest.raises(ValueError, match=f"must {message}"):
            at_random.adversarial_pairs(model, split, image_attack, text_attack)
