import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import Goal
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.attacks import Vocabulary
from rocmr_keras.attacks import objectives


@pytest.fixture(scope="module")
def losses_of(model, batch, make_target):
    """Returns the loss of each of `n` stacked copies of the batch's texts, by plain encoding."""

    def losses_of(token_ids, objective="margin"):
        mask = np.tile(batch["padding_mask"], (len(token_ids) // 4, 1))
        embeddings = model.encode_texts(token_ids, mask)
        return ops.convert_to_numpy(objectives.get(objective)(embeddings, make_target()))

    return losses_of


@pytest.fixture(scope="module")
def substitute(model, batch, make_target):
    def substitute(objective="margin", **options):
        attack = TokenSubstitution(**options)
        found = attack.perturb(model, batch, Goal(make_target(), objective))
        return ops.convert_to_numpy(found["adversarial_token_ids"])

    return substitute


@pytest.mark.parametrize("objective", ["margin", "contrastive", "similarity"])
def test_all_candidates_equal_exhaustive_search(objective, batch, ordinary, substitute, losses_of):
    token_ids = batch["token_ids"]
    swaps = np.tile(token_ids, (6 * 50, 1, 1))
    for swap, (position, token) in zip(swaps, np.ndindex(6, 50)):
        swap[:, position] = np.where(ordinary[:, position] & (token > 3), token, swap[:, position])
    losses = losses_of(swaps.reshape(-1, 6), objective).reshape(-1, 4)
    best = np.argmax(losses, axis=0)
    found = substitute(objective, num_candidates=300)
    np.testing.assert_array_equal(found, swaps[best, np.arange(4)])
    np.testing.assert_array_equal((found != token_ids).sum(axis=1), [1, 1, 1, 0])


def test_more_candidates_are_never_weaker(batch, substitute, losses_of):
    losses = [losses_of(batch["token_ids"])]
    for num_candidates in (1, 8, 300):
        losses.append(losses_of(substitute(num_candidates=num_candidates)))
    assert np.diff(losses, axis=0).min() >= -1e-6
    assert np.all(losses[-1][:3] > losses[0][:3] + 0.01)


@pytest.mark.parametrize("num_substitutions", [1, 2, 6])
def test_only_ordinary_tokens_and_positions(
    num_substitutions, batch, ordinary, substitute, losses_of
):
    found = substitute(num_substitutions=num_substitutions, num_candidates=8)
    changed = found != batch["token_ids"]
    assert not np.any(changed & ~ordinary)
    assert np.all(found[ordinary] > 3)
    most = np.minimum(num_substitutions, ordinary.sum(axis=1))
    assert np.all(changed.sum(axis=1) <= most)
    assert changed.sum() >= min(3 * num_substitutions, 5)
    fewer = substitute(num_substitutions=max(num_substitutions - 1, 1), num_candidates=8)
    assert np.all(losses_of(found) >= losses_of(fewer) - 1e-6)
    assert np.all(losses_of(fewer) >= losses_of(batch["token_ids"]) - 1e-6)


def test_examples_do_not_depend_on_each_other(model, batch, make_target, substitute):
    found = substitute(num_substitutions=2, num_candidates=8)
    rows = [0, 2, 2, 0]
    others = {name: values[rows] for name, values in batch.items()}
    attack = TokenSubstitution(num_substitutions=2, num_candidates=8)
    again = attack.perturb(model, others, Goal(make_target(rows), "margin"))
    again = ops.convert_to_numpy(again["adversarial_token_ids"])
    np.testing.assert_array_equal(again, found[rows])


def test_drawn_tokens_come_from_all_of_the_vocabulary(batch, ordinary, substitute, losses_of):
    clean = losses_of(batch["token_ids"])
    written = set()
    for seed in range(12):
        found = substitute(num_candidates=60, num_drawn=5, seed=seed)
        changed = found != batch["token_ids"]
        assert np.all(changed.sum(axis=1) <= 1)
        assert np.all(losses_of(found) >= clean - 1e-6)
        written |= set(found[changed].tolist())
    # The whole search writes three tokens at most, the best of each text.
    assert len(written) > 6 and min(written) > 3 and max(written) > 40


def test_as_many_drawn_as_there_are_is_the_whole_search(substitute):
    whole = substitute(num_candidates=8)
    np.testing.assert_array_equal(substitute(num_candidates=8, num_drawn=50), whole)
    assert np.any(substitute(num_candidates=8, num_drawn=2, seed=0) != whole)
    with pytest.raises(ValueError, match="`num_drawn` must be"):
        TokenSubstitution(num_drawn=0)


# The first four tokens are numbers on a line, the others may not be written.
LINE = np.zeros((50, 8), "float32")
LINE[:4, 0] = [1.0, 4.0, -3.0, 0.0]


def run_on_the_line(loss_fn, positions=1, **options):
    """Attacks the first tokens of four texts that say 1; the second text begins with 0."""
    table = ops.convert_to_tensor(LINE)
    vocabulary = Vocabulary(lambda ids: ops.take(table, ids, axis=0), table, np.arange(50) < 4)
    token_ids = np.zeros((4, 6), "int32")
    token_ids[1, 0] = 3
    plain = {"match_length": False, "look_ahead": False}
    found = TokenSubstitution(**(plain | options))(
        token_ids,
        loss_fn=loss_fn,
        positions=np.tile(np.arange(6) < positions, (4, 1)),
        vocabulary=vocabulary,
    )
    found = ops.convert_to_numpy(found)
    assert not np.any(found[:, 2:])
    return found[:2, :2].tolist()


def waves(embeddings):
    return -ops.sum(ops.cos(embeddings), axis=(1, 2))


def test_a_position_is_replaced_once():
    # At 1 the slope points to 4, which is better; from there it points to -3, better still.
    first, _ = run_on_the_line(waves, num_substitutions=2, num_candidates=1)
    assert first == [1, 0]
    first, _ = run_on_the_line(waves, 2, num_substitutions=2, num_candidates=1)
    assert first == [1, 1]


def test_candidates_are_evaluated_exactly():
    # At 1 the slope ranks -3 last, and at 0 it is zero and ranks nothing.
    assert run_on_the_line(waves, num_candidates=8) == [[2, 0], [2, 0]]


def test_looking_ahead_sees_what_the_slope_does_not():
    def loss_fn(embeddings):
        return -ops.sum(ops.square(ops.square(embeddings[:, 0, :1]) - 9.0), axis=1)

    # At 1 the slope points to 4 and then 0; from 4 it points back, mostly to -3, which is best.
    assert run_on_the_line(loss_fn, num_candidates=2)[0] == [1, 0]
    assert run_on_the_line(loss_fn, num_candidates=2, look_ahead=True)[0] == [2, 0]


def test_looking_ahead_scores_each_swap_once():
    calls = []

    def loss_fn(embeddings):
        calls.append(ops.convert_to_numpy(ops.stop_gradient(embeddings))[..., 0])
        return ops.sum(embeddings, axis=(1, 2))

    run_on_the_line(loss_fn, num_candidates=3, look_ahead=True)
    clean, first, others = (rows.reshape(-1, 4, 6)[:, 0, 0] for rows in calls[-3:])
    assert (clean.tolist(), first.tolist(), others.tolist()) == ([1.0], [4.0], [0.0, -3.0])


def test_no_swap_is_taken_that_lowers_the_loss():
    def loss_fn(embeddings):
        return -ops.sum(ops.square(embeddings - 1.2), axis=(1, 2))

    # At 1 the slope points to 4, but all other tokens are worse than 1.
    assert run_on_the_line(loss_fn, num_candidates=8) == [[0, 0], [0, 0]]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_never_wins(value):
    def loss_fn(embeddings):
        # Grows up to 1 and is broken beyond.
        return ops.sum(ops.where(embeddings > 1.0, value, embeddings), axis=(1, 2))

    assert run_on_the_line(loss_fn, num_candidates=8) == [[0, 0], [0, 0]]


def test_an_encoder_that_normalises_is_not_taken_in_by_long_embeddings():
    """Token 1 is long and points half the way, token 2 is short and points where it hurts."""
    table = np.zeros((50, 8), "float32")
    table[:3, :2] = [[1.0, 0.0], [6.0, 6.0], [0.0, 0.5]]
    rows = ops.convert_to_tensor(table)
    vocabulary = Vocabulary(lambda ids: ops.take(rows, ids, axis=0), rows, np.arange(50) < 3)

    def loss_fn(embeddings):
        length = ops.sqrt(ops.sum(ops.square(embeddings), axis=-1) + 1e-12)
        return embeddings[:, 0, 1] / length[:, 0]

    def replaced(**options):
        found = TokenSubstitution(num_candidates=1, **options)(
            np.zeros((1, 2), "int32"),
            loss_fn=loss_fn,
            positions=np.array([[True, False]]),
            vocabulary=vocabulary,
        )
        return ops.convert_to_numpy(found)[0].tolist()

    assert replaced(match_length=True) == [2, 0]
    assert replaced(match_length=False) == [1, 0]


@pytest.mark.parametrize("num_candidates", [1, 3, 40])
def test_the_best_swaps_of_all_are_tried(num_candidates):
    draw = np.random.default_rng(0)
    table, slopes = draw.normal(size=(30, 2)), draw.normal(size=(5, 4, 2))
    token_ids = draw.integers(3, 30, (5, 4))
    calls = []

    def loss_fn(embeddings):
        calls.append(embeddings)
        copies = ops.shape(embeddings)[0] // 5
        weights = ops.tile(ops.convert_to_tensor(slopes, "float32"), (copies, 1, 1))
        return ops.sum(embeddings * weights, axis=(1, 2))

    rows = ops.convert_to_tensor(table, "float32")
    vocabulary = Vocabulary(
        lambda ids: ops.take(rows, ids, axis=0), rows, ops.convert_to_tensor(np.arange(30) > 2)
    )
    positions = ops.convert_to_tensor(np.ones((5, 4), bool))
    attack = TokenSubstitution(1, num_candidates, match_length=False, look_ahead=False)
    inputs = ops.convert_to_tensor(token_ids, "int32")
    attack(inputs, loss_fn=loss_fn, positions=positions, vocabulary=vocabulary)
    tried = ops.convert_to_numpy(calls[-1]).reshape(-1, 5, 4, 2)
    gains = np.sum((tried - table[token_ids]) * slopes, axis=(2, 3))
    swaps = np.einsum("vd,bld->blv", table, slopes)
    swaps -= np.take_along_axis(swaps, token_ids[..., None], axis=-1)
    swaps[np.arange(30) == token_ids[..., None]] = -np.inf
    expected = -np.sort(-swaps[..., 3:].reshape(5, -1), axis=1)[:, :num_candidates].T
    np.testing.assert_allclose(-np.sort(-gains, axis=0), expected, atol=1e-5)


def test_bad_arguments():
    with pytest.raises(ValueError, match="`num_substitutions` must be an integer.*=-1"):
        TokenSubstitution(num_substitutions=-1)
    with pytest.raises(ValueError, match="`num_candidates` must be an integer.*=0"):
        TokenSubstitution(num_candidates=0)
