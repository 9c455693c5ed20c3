import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.attacks import RandomNoise
from rocmr_keras.attacks import RandomSubstitution
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.attacks import encode_adversarial_texts
from rocmr_keras.attacks import objectives
from rocmr_keras.attacks import perturb_images
from rocmr_keras.attacks import perturb_texts
from rocmr_keras.models import TextEncoder

IMAGE_ATTACKS = {
    "fgsm": (PGD, {"num_steps": 1, "random_start": False}),
    "pgd": (PGD, {"num_steps": 3}),
    "restarts": (PGD, {"num_steps": 2, "num_restarts": 2}),
    "last_iterate": (PGD, {"num_steps": 2, "keep_best": False}),
    "noise": (RandomNoise, {}),
}
WEAKER_THAN_CLEAN = ("last_iterate", "noise")
POLICIES = ["float32", "mixed_bfloat16"]


@pytest.fixture(scope="module", params=POLICIES)
def tower(request, make_model):
    return make_model(request.param)


@pytest.fixture(scope="module")
def losses_of(make_target):
    """Returns the losses of images or adversarial texts through a model, as NumPy."""

    def losses_of(model, found, batch=None, objective="contrastive"):
        if batch is None:
            embeddings = model.encode_images(found)
        else:
            embeddings = encode_adversarial_texts(model, {**batch, **found})
        return ops.convert_to_numpy(objectives.get(objective)(embeddings, make_target()))

    return losses_of


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", IMAGE_ATTACKS)
def test_images(name, norm, tower, images, make_target, losses_of, check_budget):
    kind, options = IMAGE_ATTACKS[name]
    attack = kind(epsilon=0.2, norm=norm, seed=0, **options)
    found = perturb_images(tower, attack, images, make_target())
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
        found = perturb_images(tower, attack, images, make_target())
        means.append(losses_of(tower, found).mean())
    clean, noise, fgsm, pgd = means
    assert noise < clean + 0.2 * (fgsm - clean)
    assert fgsm < pgd - 0.001


@pytest.mark.parametrize("objective", ["contrastive", "similarity", "margin"])
def test_larger_epsilon_is_never_weaker(objective, model, images, make_target, losses_of):
    losses = [losses_of(model, images, objective=objective)]
    for epsilon in (0.01, 0.05, 0.15):
        attack = PGD(epsilon, 3, random_start=False)
        found = perturb_images(model, attack, images, make_target(), objective)
        losses.append(losses_of(model, found, objective=objective))
    assert np.diff(losses, axis=0).min() >= -1e-6
    assert np.all(losses[-1] > losses[0] + 0.1)


def test_embedding_distance_needs_a_random_start(model, images, make_target):
    target = make_target(clean=model.encode_images(images))
    attack = PGD(0.1, 3, random_start=False)
    found = perturb_images(model, attack, images, target, "embedding_distance")
    np.testing.assert_array_equal(ops.convert_to_numpy(found), images)
    assert attack.stalled_share == 1.0
    attack = PGD(0.1, 3, seed=0)
    found = perturb_images(model, attack, images, target, "embedding_distance")
    losses = objectives.embedding_distance(model.encode_images(found), target)
    assert ops.convert_to_numpy(losses).min() > 0.01 and attack.stalled_share == 0.0


OTHER_ROWS = [0, 2, 2, 0]


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_images_do_not_depend_on_each_other(norm, model, images, make_target):
    attack = PGD(0.2, 3, norm=norm, random_start=False)
    found = ops.convert_to_numpy(perturb_images(model, attack, images, make_target()))
    again = perturb_images(model, attack, images[OTHER_ROWS], make_target(OTHER_ROWS))
    np.testing.assert_allclose(ops.convert_to_numpy(again), found[OTHER_ROWS], atol=1e-6)


@pytest.mark.parametrize("random_start", [True, False])
def test_embeddings(random_start, tower, batch, ordinary, make_target, losses_of):
    attack = EmbeddingPGD(0.5, random_start=random_start, seed=0)
    found = perturb_texts(tower, attack, batch, make_target())
    perturbation = ops.convert_to_numpy(found["text_perturbation"]).astype("float64")
    embeddings = ops.convert_to_numpy(tower.embed_tokens(batch["token_ids"]))
    radius = 0.5 * np.linalg.norm(embeddings.astype("float64"), axis=-1)
    assert np.all(np.linalg.norm(perturbation, axis=-1) <= radius + 1.2e-7)
    assert np.all(perturbation[~ordinary] == 0.0)
    assert np.all(np.any(perturbation[:3] != 0.0, axis=(1, 2)))
    clean = {"text_perturbation": np.zeros_like(embeddings)}
    gains = losses_of(tower, found, batch) - losses_of(tower, clean, batch)
    assert gains.min() >= -1e-6 and gains.max() > 0.1


def test_embeddings_do_not_depend_on_each_other(model, batch, make_target):
    attack = EmbeddingPGD(0.5, random_start=False)
    found = perturb_texts(model, attack, batch, make_target())["text_perturbation"]
    others = {name: values[OTHER_ROWS] for name, values in batch.items()}
    again = perturb_texts(model, attack, others, make_target(OTHER_ROWS))["text_perturbation"]
    found = ops.convert_to_numpy(found)[OTHER_ROWS]
    np.testing.assert_allclose(ops.convert_to_numpy(again), found, atol=1e-6)


def test_tokens(tower, batch, ordinary, make_target, losses_of):
    losses = [losses_of(tower, {"adversarial_token_ids": batch["token_ids"]}, batch)]
    for attack in (TokenSubstitution(2, num_candidates=8), RandomSubstitution(2, seed=0)):
        found = perturb_texts(tower, attack, batch, make_target())
        losses.append(losses_of(tower, found, batch))
        token_ids = ops.convert_to_numpy(found["adversarial_token_ids"])
        changed = token_ids != batch["token_ids"]
        assert not np.any(changed & ~ordinary) and np.all(token_ids[ordinary] > 3)
        assert keras.backend.standardize_dtype(token_ids.dtype) == "int32"
    clean, searched, drawn = losses
    assert np.all(searched >= clean - 1e-6)
    assert searched.mean() > drawn.mean() + 0.1


@keras.saving.register_keras_serializable(package="rocmr_keras_tests")
class Restless(keras.layers.Layer):
    """Draws from a seed and counts its calls, also when it is told not to train."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(0)
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)
        self.built = True

    def call(self, inputs):
        self.count.assign_add(1.0)
        noise = keras.random.normal(ops.shape(inputs), seed=self.seed_generator)
        return inputs + 0.01 * noise


class RestlessTextEncoder(TextEncoder):
    def build(self, input_shape):
        super().build(input_shape)
        self.restless = Restless(name="restless")

    def encode(self, embeddings, padding_mask, training=False):
        embeddings = self.restless(embeddings)
        return super().encode(embeddings, padding_mask, training=training)


@pytest.fixture(scope="module")
def restless_model(make_model):
    layers = (keras.layers.BatchNormalization(), keras.layers.Dropout(0.5), Restless())
    return make_model(image_layers=layers, text_class=RestlessTextEncoder)


@pytest.mark.parametrize(
    "attack",
    [
        PGD(0.1, 2, num_restarts=2),
        PGD(0.1, 5),
        RandomNoise(0.1),
        EmbeddingPGD(0.5, 2),
        TokenSubstitution(2, 8),
        RandomSubstitution(2),
    ],
    ids=lambda attack: f"{type(attack).__name__}_{getattr(attack, 'num_steps', '')}",
)
def test_weights_statistics_and_seeds_are_untouched(attack, restless_model, batch, make_target):
    before = [ops.convert_to_numpy(v).copy() for v in restless_model.variables]
    assert any("seed" in v.path for v in restless_model.variables)
    if attack.modality == "images":
        found = perturb_images(restless_model, attack, batch["images"], make_target())
        assert np.any(ops.convert_to_numpy(found) != batch["images"])
    else:
        perturb_texts(restless_model, attack, batch, make_target())
    for variable, value in zip(restless_model.variables, before):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), value, variable.path)


def test_the_restless_layer_is_restless(restless_model, images):
    before = [ops.convert_to_numpy(v).copy() for v in restless_model.variables]
    restless_model.encode_images(images)
    changed = [
        v.path
        for v, value in zip(restless_model.variables, before)
        if np.any(ops.convert_to_numpy(v) != value)
    ]
    assert len(changed) == 2
