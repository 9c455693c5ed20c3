import functools
import itertools

import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import Goal
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.attacks import Vocabulary
from rocmr_keras.attacks import objectives
from rocmr_keras.attacks.tokens.beam import advance_beam
from rocmr_keras.attacks.tokens.beam import best_of_beam


def advance(beam, losses, candidates, candidate_losses, beam_size):
    """Runs on texts of one token of one example; returns tokens and losses."""
    texts, found = advance_beam(
        ops.convert_to_tensor(np.array(beam, "int32").reshape(-1, 1, 1)),
        ops.convert_to_tensor(np.array(losses, "float32").reshape(-1, 1)),
        ops.convert_to_tensor(np.array(candidates, "int32")[..., None, None]),
        ops.convert_to_tensor(np.array(candidate_losses, "float32")[..., None]),
        beam_size,
    )
    return ops.convert_to_numpy(texts).ravel().tolist(), ops.convert_to_numpy(found).ravel()


def test_a_lane_takes_the_best_of_the_lanes_up_to_its_own():
    # Two lanes with two candidates each; the second lane's are better.
    lanes = ([10, 20], [1.0, 0.5], [[11, 21], [12, 22]], [[2.0, 5.0], [0.0, 3.0]])
    texts, losses = advance(*lanes, beam_size=3)
    assert texts == [11, 21, 22] and losses.tolist() == [2.0, 5.0, 3.0]
    for beam_size in (1, 2):
        assert advance(*lanes, beam_size=beam_size)[0] == texts[:beam_size]
    assert advance(*lanes, beam_size=9)[0] == [11, 21, 22, 10, 20, 12]


def test_a_text_is_taken_once_and_what_does_not_count_never():
    texts, losses = advance([10, 20], [1.0, 0.5], [[30, 30]], [[2.0, 2.1]], beam_size=3)
    assert texts == [30, 10, 20] and losses.tolist() == [2.0, 1.0, 0.5]
    texts, losses = advance([10], [1.0], [[11]], [[-1e30]], beam_size=2)
    assert texts == [10, 10] and losses[1] < -1e29


@pytest.mark.parametrize("loss, expected", [(np.nan, 10), (np.inf, 10), (2.0, 10), (1.0, 11)])
def test_only_a_higher_loss_moves_the_first_lane(loss, expected):
    texts, _ = advance([10], [loss], [[11]], [[2.0]], beam_size=1)
    assert texts == [expected]


def test_best_of_beam():
    beam = ops.convert_to_tensor(np.arange(6, dtype="int32").reshape(3, 2, 1))
    losses = ops.convert_to_tensor(np.array([[1.0, 2.0], [3.0, 2.0], [2.0, 1.0]], "float32"))
    np.testing.assert_array_equal(ops.convert_to_numpy(best_of_beam(beam, losses)), [[2], [1]])


# A loss in which two words together do what neither does alone.
RANDOM = np.random.RandomState(5)
WORDS = RANDOM.normal(size=(7, 3)).astype("float32")
PAIRS = RANDOM.normal(size=(3, 9, 9)).astype("float32")
TEXTS = RANDOM.randint(1, 7, size=(3, 3)).astype("int32")


def tangled(embeddings):
    """Losses of `n` stacked copies of three texts, each with a quadratic form of its own."""
    rows = ops.reshape(embeddings, (-1, 3, 9))
    return ops.reshape(ops.einsum("nbi,bij,nbj->nb", rows, ops.convert_to_tensor(PAIRS), rows), -1)


@pytest.fixture(scope="module")
def search(in_one_go):
    @functools.cache
    def search(loss_fn=tangled, **options):
        def attack(texts):
            table = ops.convert_to_tensor(WORDS)
            return TokenSubstitution(**options)(
                texts,
                loss_fn=loss_fn,
                positions=ops.ones((3, 3), "bool"),
                vocabulary=Vocabulary(
                    lambda ids: ops.take(table, ids, axis=0), table, np.arange(7) > 0
                ),
            )

        return ops.convert_to_numpy(in_one_go(attack)(ops.convert_to_tensor(TEXTS)))

    return search


def losses_of(texts):
    return ops.convert_to_numpy(tangled(ops.convert_to_tensor(WORDS[texts])))


def test_a_beam_that_covers_everything_equals_all_pairs(search):
    """Six words at three positions: 21 candidates and 16 partial texts are all there are."""
    best = np.full(3, -np.inf)
    for first, second in itertools.combinations(range(3), 2):
        for words in itertools.product(range(1, 7), repeat=2):
            texts = TEXTS.copy()
            texts[:, [first, second]] = words
            best = np.maximum(best, losses_of(texts))
    found = losses_of(search(num_substitutions=2, num_candidates=21, beam_size=16))
    np.testing.assert_allclose(found, best, rtol=1e-6)
    greedy = losses_of(search(num_substitutions=2, num_candidates=21, beam_size=1))
    assert np.any(greedy < best - 0.1)


@pytest.mark.parametrize("num_substitutions", [2, 3])
@pytest.mark.parametrize("num_candidates", [3, 21])
def test_no_beam_is_weaker_than_a_smaller_one(num_substitutions, num_candidates, search):
    losses = [losses_of(TEXTS)]
    for beam_size in (1, 2, 16):
        found = search(
            num_substitutions=num_substitutions, num_candidates=num_candidates, beam_size=beam_size
        )
        assert (found != TEXTS).sum(axis=1).max() <= num_substitutions
        losses.append(losses_of(found))
    assert np.diff(losses, axis=0).min() >= -1e-5


def test_a_beam_on_a_model(model, batch, ordinary, make_target, in_one_go):
    def run(beam_size):
        attack = TokenSubstitution(2, num_candidates=16, beam_size=beam_size)
        goal = Goal(make_target(), "margin")
        perturb = in_one_go(lambda batch: attack.perturb(model, batch, goal))
        found = ops.convert_to_numpy(perturb(batch)["adversarial_token_ids"])
        losses = objectives.margin(model.encode_texts(found, batch["padding_mask"]), make_target())
        return found, ops.convert_to_numpy(losses)

    (_, greedy), (found, wide) = run(1), run(4)
    assert np.all(wide >= greedy - 1e-6)
    assert not np.any((found != batch["token_ids"]) & ~ordinary)


def test_all_candidates_of_a_round_are_scored_at_once(search):
    calls = []

    def counting(embeddings):
        calls.append(embeddings.shape[0] // 3)
        return tangled(embeddings)

    search(counting, num_substitutions=3, num_candidates=5, beam_size=4)
    # Gradients of each lane and of its first candidate, then the other four of all lanes.
    assert calls == [1, 1, 4, 4, 4, 16, 4, 4, 16]
