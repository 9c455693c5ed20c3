"""The joint attacks, against each other and against their definitions."""

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import MarginsInTurn
from rocmr_keras.attacks import RandomNoise
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.attacks import encode_adversarial_texts
from rocmr_keras.attacks import joint

KINDS = {
    "separate": joint.Separate,
    "sequential": joint.Sequential,
    "co_attack": joint.CoAttack,
    "set_guidance": joint.SetGuidance,
    "alternating": joint.Alternating,
}
STARTS = [name for name in KINDS if name != "alternating"]
IDS = {"image": np.array([0, 1, 1, 2], "int32"), "text": np.array([0, 0, 1, 2, 2], "int32")}
TOKEN_IDS = np.array(
    [[2, 7, 9, 30, 3, 0], [2, 8, 14, 3, 0, 0], [2, 5, 11, 12, 3, 0], [2, 6, 3, 0, 0, 0],
     [2, 40, 41, 42, 43, 3]], "int32",
)  # fmt: skip


def items(modality, places, sources):
    """The entries of a batch for one modality: groups are the ids themselves."""
    ids = IDS[modality][places]
    return {
        f"{modality}_ids": ids,
        f"{modality}_places": np.array(places, "int32"),
        f"{modality}_groups": ids,
        f"{modality}_sources": np.array(sources, "int32"),
    }


@pytest.fixture(scope="module")
def batch(images):
    """Everything, with one image and one caption repeated to fill up."""
    image_places, text_places = [0, 1, 2, 3, 0], [0, 1, 2, 3, 4, 2]
    token_ids = TOKEN_IDS[text_places]
    return {
        "images": images[image_places],
        "token_ids": token_ids,
        "padding_mask": token_ids != 0,
        **items("image", image_places, [0, 1, 2, 3, 0]),
        **items("text", text_places, [0, 1, 2, 3, 4, 2]),
    }


@pytest.fixture(scope="module")
def clean(model, images):
    texts = model.encode_texts(TOKEN_IDS, TOKEN_IDS != 0, training=False)
    return [ops.convert_to_numpy(rows) for rows in (model.encode_images(images), texts)]


@pytest.fixture(scope="module")
def galleries(clean):
    return joint.Galleries(*clean, IDS["image"], IDS["text"])


@pytest.fixture(scope="module")
def run(model, batch, galleries):
    """Runs a joint attack eagerly, for compiling takes its time; returns NumPy."""

    def run(attack, batch=batch):
        encoder = joint.JointEncoder(model, attack, galleries, 3, run_eagerly=True)
        return encoder.predict_on_batch(batch)

    return run


@pytest.fixture(scope="module")
def build():
    def build(name, epsilon=0.2, num_candidates=6):
        pgd = PGD(epsilon, num_steps=2, seed=0)
        swaps = TokenSubstitution(1, num_candidates, look_ahead=False, seed=0)
        return KINDS[name](pgd, swaps)

    return build


@pytest.fixture(scope="module")
def found(run, build):
    return {name: run(build(name)) for name in KINDS}


def margins(images, texts, clean):
    """The mean margins of each group, item by item, in NumPy."""
    losses = []
    for group in range(3):
        sides = []
        for queries, others, own in (
            (images[IDS["image"] == group], clean[1], (IDS["text"], texts)),
            (texts[IDS["text"] == group], clean[0], (IDS["image"], images)),
        ):
            ids, attacked = own
            wrong = (queries @ others[ids != group].T).max(axis=1)
            right = (queries @ attacked[ids == group].T).max(axis=1)
            sides.append(np.mean(wrong - right))
        losses.append(sum(sides))
    return losses


@pytest.mark.parametrize("name", KINDS)
def test_losses_embeddings_and_inputs_belong_together(name, found, model, clean, batch):
    result = found[name]
    images = ops.convert_to_numpy(model.encode_images(result["adversarial_images"]))
    np.testing.assert_allclose(result["image_embeddings"], images, atol=1e-5)
    attacked = {**batch, "adversarial_token_ids": result["adversarial_token_ids"]}
    texts = ops.convert_to_numpy(encode_adversarial_texts(model, attacked))
    np.testing.assert_allclose(result["text_embeddings"], texts, atol=1e-5)
    np.testing.assert_allclose(result["losses"], margins(images[:4], texts[:5], clean), atol=1e-4)


@pytest.mark.parametrize("name", KINDS)
def test_budgets(name, found, batch, check_budget):
    result = found[name]
    check_budget(ops.convert_to_tensor(result["adversarial_images"]), batch["images"], 0.2)
    changed = result["adversarial_token_ids"] != batch["token_ids"]
    assert changed.sum(axis=1).max() == 1
    assert np.all(batch["token_ids"][changed] > 3)
    assert np.all(result["adversarial_token_ids"][changed] > 3)


@pytest.mark.parametrize("name", KINDS)
def test_no_group_is_better_off_than_clean(name, found, clean):
    assert np.all(found[name]["losses"] >= np.array(margins(*clean, clean)) - 1e-5)
    assert found[name]["losses"].mean() > np.mean(margins(*clean, clean)) + 0.05


@pytest.mark.parametrize("name", STARTS)
def test_alternating_is_at_least_as_strong_group_by_group(name, found):
    assert np.all(found["alternating"]["losses"] >= found[name]["losses"] - 1e-5)


def test_alternating_is_stronger_than_the_best_of_its_starts(found):
    best = np.max([found[name]["losses"] for name in STARTS], axis=0)
    assert found["alternating"]["losses"].max() > best.min()
    assert np.sum(found["alternating"]["losses"] - best) > 1e-3


def test_each_part_is_compiled_once_for_all_rounds_and_batches(model, batch, galleries, build):
    encoder = joint.JointEncoder(model, build("alternating"), galleries, 3, run_eagerly=True)
    for _ in range(2):
        encoder.predict_on_batch(batch)
        # Images and captions by four schedules and the rounds, losses, what is kept, embeddings.
        assert len(encoder.steps) == 13


def test_alternating_may_climb_one_rank_after_the_other(run, build, found, clean):
    """Two wrong items at least: the groups are put behind rank 2 as far as they can be."""
    in_turn = MarginsInTurn((1, 2))
    attack = joint.Alternating(build("separate").image_attack, build("separate").text_attack)
    assert attack.objective == attack.group_objective == "margin"
    config = {**attack.get_config(), "num_rounds": 1}
    config["objective"] = keras.saving.serialize_keras_object(in_turn)
    result = run(joint.Alternating.from_config(config))
    images, texts = result["image_embeddings"][:4], result["text_embeddings"][:5]
    np.testing.assert_allclose(result["losses"], margins(images, texts, clean), atol=1e-4)
    lost = ranks_lost(images, texts, clean)
    for name in STARTS:
        other = found[name]
        others = other["image_embeddings"][:4], other["text_embeddings"][:5]
        assert np.all(lost >= ranks_lost(*others, clean) - 1e-6)
    # Four schedules, two halves of a round, and the result.
    assert result["seen_image_embeddings"].shape == (5, 7, images.shape[1])
    assert result["seen_text_embeddings"].shape == (6, 7, texts.shape[1])


def ranks_lost(images, texts, clean):
    """The mean number of ranks lost, of 1 and 2, in each group, over its images and texts."""
    lost = []
    for group in range(3):
        sides = []
        for queries, others, own in (
            (images[IDS["image"] == group], clean[1], (IDS["text"], texts)),
            (texts[IDS["text"] == group], clean[0], (IDS["image"], images)),
        ):
            ids, attacked = own
            wrong = np.sort(queries @ others[ids != group].T, axis=1)[:, ::-1][:, :2]
            right = (queries @ attacked[ids == group].T).max(axis=1, keepdims=True)
            sides.append((wrong >= right).sum(axis=1).mean())
        lost.append(sum(sides))
    return np.array(lost)


@pytest.mark.parametrize("name", ["separate", "alternating"])
def test_what_fills_up_the_batch_changes_nothing(name, found, run, build, batch):
    repeated = found[name]
    np.testing.assert_array_equal(
        repeated["adversarial_images"][4], repeated["adversarial_images"][0]
    )
    np.testing.assert_array_equal(
        repeated["adversarial_token_ids"][5], repeated["adversarial_token_ids"][2]
    )
    assert repeated["losses"].shape == (3,)


@pytest.fixture(scope="module")
def find_images(batch, galleries, model):
    """The images that a schedule finds with steps that no rounding to signs makes equal."""

    def find_images(name, token_ids=batch["token_ids"]):
        tensors = joint.Galleries(*map(ops.convert_to_tensor, galleries))
        known = {**batch, "token_ids": token_ids, "padding_mask": token_ids != 0}
        known = {key: ops.convert_to_tensor(value) for key, value in known.items()}
        pgd = PGD(1.0, num_steps=2, norm="l2", seed=0)
        attack = KINDS[name](pgd, TokenSubstitution(1, 1, seed=0))
        found = attack.search(joint.GroupBatch(model, known, tensors, 3))
        return ops.convert_to_numpy(found["images"])

    return find_images


@pytest.mark.parametrize("name, blind", [("co_attack", True), ("set_guidance", False)])
def test_co_attack_shows_an_image_its_first_caption_alone(name, blind, find_images, batch):
    """Captions 1 and 4 are the second ones of images 0 and 3; caption 0 is the first of 0."""
    second, first = np.array(batch["token_ids"]), np.array(batch["token_ids"])
    second[[1, 4], 1:3] = 20
    first[0, 1:3] = 20
    images = find_images(name)
    same = [np.array_equal(images[place], find_images(name, second)[place]) for place in (0, 3)]
    assert same == [blind, blind]
    assert not np.array_equal(images[0], find_images(name, first)[0])


def test_the_other_captions_of_a_pair_are_no_rivals(model, batch, clean, galleries):
    tensors = joint.Galleries(*map(ops.convert_to_tensor, galleries))
    groups = joint.GroupBatch(model, {**batch}, tensors, 3)
    target = groups._image_target(groups.encode_texts(batch["token_ids"]), paired=True)
    expected = clean[0][[0, 1, 2, 3, 0]] @ clean[1].T
    expected[[0, 4], 1] = expected[3, 4] = -1.0
    found = target.similarities(ops.convert_to_tensor(clean[0][[0, 1, 2, 3, 0]]))[0]
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, atol=1e-5)
    positives = ops.convert_to_numpy(target.positives)
    assert [np.flatnonzero(row).tolist() for row in positives] == [[0], [2], [2], [3], [0]]


def test_epsilon_zero_and_the_name_of_the_image_side(run, build, batch):
    result = run(build("sequential", epsilon=0.0))
    np.testing.assert_array_equal(result["adversarial_images"], batch["images"])


@pytest.mark.parametrize("name", KINDS)
def test_config(name, build, check_config):
    attack = build(name)
    check_config(attack)
    # A copy of the attacks: the draws of one do not advance the other's.
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(attack))
    assert again.image_attack is not attack.image_attack


def test_bad_modalities():
    text_attack = TokenSubstitution()
    with pytest.raises(ValueError, match="`image_attack` must perturb.*TokenSubstitution"):
        joint.Separate(text_attack, text_attack)
    with pytest.raises(ValueError, match="`text_attack` must perturb.*RandomNoise"):
        joint.Separate(PGD(0.1), RandomNoise(0.1))
