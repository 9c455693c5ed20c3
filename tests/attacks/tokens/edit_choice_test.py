import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import CharacterChoice


def with_mask(token_ids):
    return {"token_ids": token_ids, "padding_mask": token_ids != 0}


@pytest.fixture(scope="module")
def texts():
    """Three texts of four tokens, and for each two places of three edits."""
    random = np.random.RandomState(0)
    inputs = random.randint(1, 50, size=(3, 4)).astype("int32")
    candidates = np.repeat(inputs[:, None, None], 2, axis=1).repeat(3, axis=2)
    candidates[..., 2] = random.randint(1, 50, size=(3, 2, 3))
    candidates[:, :, 2, 3] = 0
    return with_mask(inputs), with_mask(candidates)


def losses_of(token_ids):
    """A loss that no two tokens share; late tokens count more."""
    return (np.sin(token_ids) * [1.0, 2.0, 3.0, 4.0]).sum(-1).astype("float32")


def loss_fn(texts):
    weights = ops.convert_to_tensor([1.0, 2.0, 3.0, 4.0])
    return ops.sum(ops.sin(ops.cast(texts["token_ids"], "float32")) * weights, axis=-1)


def test_the_worst_edit_at_the_place_of_the_worst_probe(texts):
    inputs, candidates = texts
    found = CharacterChoice(seed=0)(inputs, loss_fn=loss_fn, candidates=candidates)
    found = {name: ops.convert_to_numpy(value) for name, value in found.items()}
    changed = 0
    for index, own in enumerate(inputs["token_ids"]):
        rows = candidates["token_ids"][index]
        here = rows[np.argmax(losses_of(rows[:, 0]))]
        choices = np.concatenate([own[None], here])
        expected = choices[np.argmax(losses_of(choices))]
        np.testing.assert_array_equal(found["token_ids"][index], expected)
        changed += bool(np.any(expected != own))
    assert changed > 0
    np.testing.assert_array_equal(found["padding_mask"], found["token_ids"] != 0)
    assert np.all(losses_of(found["token_ids"]) >= losses_of(inputs["token_ids"]))


def test_one_place_needs_no_probe(texts):
    inputs, candidates = texts
    calls = []

    def counting(texts):
        calls.append(texts["token_ids"].shape)
        return loss_fn(texts)

    only = {name: texts[:, 1:] for name, texts in candidates.items()}
    found = CharacterChoice(seed=0)(inputs, loss_fn=counting, candidates=only)
    # The caption and three edits of it, for three captions.
    assert calls == [(12, 4)]
    for index, own in enumerate(inputs["token_ids"]):
        choices = np.concatenate([own[None], only["token_ids"][index, 0]])
        expected = choices[np.argmax(losses_of(choices))]
        np.testing.assert_array_equal(ops.convert_to_numpy(found["token_ids"])[index], expected)


def test_a_loss_that_is_not_finite_never_wins(texts):
    inputs, candidates = texts

    def broken(texts):
        same = ops.all(texts["token_ids"][:3] == inputs["token_ids"], axis=-1)
        count = texts["token_ids"].shape[0] // 3
        first = ops.where(same, 0.0, float("nan"))
        return ops.concatenate([first] + [ops.full((3,), float("nan"))] * (count - 1))

    found = CharacterChoice()(inputs, loss_fn=broken, candidates=candidates)
    np.testing.assert_array_equal(ops.convert_to_numpy(found["token_ids"]), inputs["token_ids"])


def test_a_budget_of_zero_attacks_nobody(texts):
    inputs, candidates = texts
    attack = CharacterChoice(seed=0)
    attack.epsilon_scale.assign(0.0)
    found = attack(inputs, loss_fn=loss_fn, candidates=candidates)
    np.testing.assert_array_equal(ops.convert_to_numpy(found["token_ids"]), inputs["token_ids"])


def test_config(check_config):
    check_config(CharacterChoice(seed=3))
