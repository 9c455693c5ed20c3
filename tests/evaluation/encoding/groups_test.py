import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.attacks.joint import Sequential
from rocmr_keras.evaluation import EncodedSplit
from rocmr_keras.evaluation import encode_joint

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="module")
def encoded(model, split):
    return EncodedSplit(model, split, batch_size=4, verbose=0)


@pytest.fixture(scope="module")
def clean(encoded):
    return encoded.clean


@pytest.fixture(scope="module")
def run(encoded):
    def run(groups_per_batch, keep_inputs=True):
        pgd = PGD(0.2, num_steps=3, random_start=False)
        # All swaps: fewer would leave out one of several that look alike to first order.
        attack = Sequential(pgd, TokenSubstitution(1, num_candidates=60, look_ahead=False))
        return encode_joint(encoded, attack, groups_per_batch, keep_inputs=keep_inputs)

    return run


@pytest.fixture(scope="module")
def found(run):
    return run(4)


def test_every_item_is_back_in_its_place(found, model, split, clean):
    images, texts = found["adversarial_images"], found["adversarial_token_ids"]
    pixels = split.images.astype("float32") / 255
    assert np.abs(images - pixels).max(axis=(1, 2, 3)).max() <= 0.2 + 1.2e-7
    # The seventh image is of the first group, and was attacked with it.
    encoded = ops.convert_to_numpy(model.encode_images(images))
    np.testing.assert_allclose(found["embeddings"].images, encoded, atol=1e-5)
    tokens = model.preprocessor.tokenize(split.captions)
    changed = (texts != tokens["token_ids"]).sum(axis=1)
    assert changed.max() == 1 and changed.sum() >= 6
    encoded = ops.convert_to_numpy(model.encode_texts(texts, tokens["padding_mask"]))
    np.testing.assert_allclose(found["embeddings"].texts, encoded, atol=1e-5)
    np.testing.assert_array_equal(found["ids"], np.arange(6))


def test_the_losses_are_the_margins(found, clean):
    attacked = found["embeddings"]
    for group, loss in zip(found["ids"], found["losses"]):
        images, texts = clean.image_ids == group, clean.text_ids == group
        own = attacked.images[images] @ attacked.texts[texts].T
        of_images = (attacked.images[images] @ clean.texts[~texts].T).max(axis=1) - own.max(axis=1)
        of_texts = (attacked.texts[texts] @ clean.images[~images].T).max(axis=1) - own.max(axis=0)
        np.testing.assert_allclose(loss, of_images.mean() + of_texts.mean(), atol=1e-5)


def test_groups_do_not_depend_on_each_other(found, run):
    """One by one they are what they are four by four."""
    alone = run(1)
    np.testing.assert_allclose(alone["losses"], found["losses"], atol=1e-5)
    np.testing.assert_allclose(alone["embeddings"].images, found["embeddings"].images, atol=1e-5)
    np.testing.assert_array_equal(alone["adversarial_token_ids"], found["adversarial_token_ids"])


def test_only_some_ids_are_attacked(found, encoded, clean):
    pgd = PGD(0.2, num_steps=3, random_start=False)
    attack = Sequential(pgd, TokenSubstitution(1, num_candidates=60, look_ahead=False))
    some = encode_joint(encoded, attack, 1, ids=[5, 0])
    np.testing.assert_array_equal(some["ids"], [0, 5])
    np.testing.assert_allclose(some["losses"], found["losses"][[0, 5]], atol=1e-5)
    left = ~np.isin(clean.image_ids, [0, 5])
    np.testing.assert_array_equal(some["embeddings"].images[left], clean.images[left])
    assert not some["adversarial_images"][left].any()
    np.testing.assert_allclose(
        some["embeddings"].images[~left], found["embeddings"].images[~left], atol=1e-5
    )


def test_the_attacked_inputs_can_be_left_out(found, run):
    without = run(4, keep_inputs=False)
    left_out = {"adversarial_images", "adversarial_token_ids"}
    assert set(without) == set(found) - left_out
    np.testing.assert_array_equal(without["embeddings"].images, found["embeddings"].images)
    np.testing.assert_array_equal(without["embeddings"].texts, found["embeddings"].texts)


def test_what_the_search_has_seen(encoded, clean):
    """What was found, once: there is nothing else to choose from."""
    attack = Sequential(PGD(0.2, num_steps=1, seed=0), TokenSubstitution(1, num_candidates=4))
    found = encode_joint(encoded, attack, 4, ids=np.arange(5), keep_seen=True)
    (seen,) = found["seen"]
    np.testing.assert_allclose(seen.images, found["embeddings"].images, atol=1e-5)
    np.testing.assert_allclose(seen.texts, found["embeddings"].texts, atol=1e-5)
    # The sixth id was left alone.
    np.testing.assert_array_equal(seen.images[5], clean.images[5])
    assert np.abs(seen.images[:5] - clean.images[:5]).max() > 0.01
