import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import Goal
from rocmr_keras.attacks import RandomNoise
from rocmr_keras.attacks import objectives

IMAGE_ATTACKS = {
    "fgsm": (PGD, {"num_steps": 1, "random_start": False}),
    "pgd": (PGD, {"num_steps": 3}),
    "restarts": (PGD, {"num_steps": 2, "num_restarts": 2}),
    "last_iterate": (PGD, {"num_steps": 2, "keep_best": False}),
    "noise": (RandomNoise, {}),
}
WEAKER_THAN_CLEAN = ("last_iterate", "noise")
OTHER_ROWS = [0, 2, 2, 0]


def perturb(model, attack, images, target, objective="contrastive"):
    found = attack.perturb(model, {"images": images}, Goal(target, objective))
    assert set(found) == {"adversarial_images"}
    return found["adversarial_images"]


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", IMAGE_ATTACKS)
def test_images(name, norm, tower, images, make_target, losses_of, check_budget):
    kind, options = IMAGE_ATTACKS[name]
    attack = kind(epsilon=0.2, norm=norm, seed=0, **options)
    found = perturb(tower, attack, images, make_target())
    check_budget(found, images, 0.2, norm)
    assert np.any(ops.convert_to_numpy(found) != images)
    if name not in WEAKER_THAN_CLEAN:
        assert np.all(losses_of(tower, found) >= losses_of(tower, images) - 1e-6)


@pytest.mark.parametrize("norm, epsilon", [("linf", 0.1), ("l2", 0.5)])
def test_noise_is_weaker_than_fgsm_and_fgsm_than_pgd(
    norm, epsilon, tower, images, make_target, losses_of
):
    attacks = (
        RandomNoise(epsilon, norm, seed=0),
        PGD(epsilon, 1, norm=norm, random_start=False),
        PGD(epsilon, 10, norm=norm, random_start=False),
    )
    means = [losses_of(tower, images).mean()]
    for attack in attacks:
        found = perturb(tower, attack, images, make_target())
        means.append(losses_of(tower, found).mean())
    clean, noise, fgsm, pgd = means
    assert noise < clean + 0.2 * (fgsm - clean)
    assert fgsm < pgd - 0.001


@pytest.mark.parametrize("objective", ["contrastive", "similarity", "margin"])
def test_larger_epsilon_is_never_weaker(objective, model, images, make_target, losses_of):
    losses = [losses_of(model, images, objective=objective)]
    for epsilon in (0.01, 0.05, 0.15):
        attack = PGD(epsilon, 3, random_start=False)
        found = perturb(model, attack, images, make_target(), objective)
        losses.append(losses_of(model, found, objective=objective))
    assert np.diff(losses, axis=0).min() >= -1e-6
    assert np.all(losses[-1] > losses[0] + 0.1)


def test_embedding_distance_needs_a_random_start(model, images, make_target):
    target = make_target(clean=model.encode_images(images))
    attack = PGD(0.1, 3, random_start=False)
    found = perturb(model, attack, images, target, "embedding_distance")
    np.testing.assert_array_equal(ops.convert_to_numpy(found), images)
    assert attack.stalled_share == 1.0
    attack = PGD(0.1, 3, seed=0)
    found = perturb(model, attack, images, target, "embedding_distance")
    losses = objectives.embedding_distance(model.encode_images(found), target)
    assert ops.convert_to_numpy(losses).min() > 0.01 and attack.stalled_share == 0.0


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_images_do_not_depend_on_each_other(norm, model, images, make_target):
    attack = PGD(0.2, 3, norm=norm, random_start=False)
    found = ops.convert_to_numpy(perturb(model, attack, images, make_target()))
    again = perturb(model, attack, images[OTHER_ROWS], make_target(OTHER_ROWS))
    np.testing.assert_allclose(ops.convert_to_numpy(again), found[OTHER_ROWS], atol=1e-6)


def test_an_attack_begins_at_the_start_images_of_a_batch(model, images, make_target):
    start = np.clip(images + 0.1, 0.0, 1.0).astype("float32")
    goal = Goal(make_target())
    attack = PGD(0.2, num_steps=1, step_size=0.0, keep_best=False)
    found = attack.perturb(model, {"images": images, "start_images": start}, goal)
    np.testing.assert_allclose(ops.convert_to_numpy(found["adversarial_images"]), start, atol=1e-6)
