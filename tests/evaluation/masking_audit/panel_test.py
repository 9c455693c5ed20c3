"""A panel of models whose verdict is known: some hide a gradient, and honest ones do not.

The masked ones meet the check that is there to find them, the honest ones all of them.
"""

import keras
import pytest
from keras import ops

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.evaluation import audit
from rocmr_keras.evaluation import format_audit
from rocmr_keras.layers.normalization import l2_normalize
from rocmr_keras.trainers import RoCMR

pytestmark = pytest.mark.usefixtures("eagerly")

# Few steps and queries: what is compiled of them is compiled anew for each model.
SETTINGS = {"epsilon": 0.06, "num_steps": 6, "num_queries": 20, "batch_size": 32, "verbose": 0}


class Defence:
    """A model behind a wall: what a subclass does not change goes through."""

    def __init__(self, inner, defend=None):
        self.inner = inner
        self.seed_generator = keras.random.SeedGenerator(0)
        if defend:
            self.defend = defend

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def encode_images(self, images, training=False):
        return self.inner.encode_images(self.defend(images), training=training)

    def defend(self, images):
        return images


def quantised(images):
    """Nine grey levels: the gradient of rounding is zero."""
    return ops.round(8.0 * images) / 8.0


def shattered(images):
    """A ripple too fine to see, whose slope drowns the model's."""
    return images + 0.02 * ops.sin(1000.0 * images)


def twice_normalised(images):
    """Pixels taken for bytes, and again: so large that the tanh behind them is flat."""
    for _ in range(2):
        images = 255.0 * (images - 0.5)
    return ops.tanh(images)


def flipped(images):
    """The values as they are, the gradient downhill."""
    return ops.stop_gradient(2.0 * images) - images


class Stochastic(Defence):
    """Noise on every input."""

    def defend(self, images):
        noise = keras.random.normal(ops.shape(images), seed=self.seed_generator)
        return images + 0.1 * noise


class RandomlyResized(Defence):
    """Each image is shrunk and put into a random corner, or left as it is."""

    def defend(self, images):
        small = ops.image.resize(images, (3, 3))
        corners = [((0, 1), (0, 1)), ((0, 1), (1, 0)), ((1, 0), (0, 1)), ((1, 0), (1, 0))]
        padded = [ops.pad(small, ((0, 0), *corner, (0, 0))) for corner in corners]
        choices = ops.stack([images, *padded])
        draws = keras.random.uniform((5, ops.shape(images)[0]), seed=self.seed_generator)
        chosen = ops.one_hot(ops.argmax(draws, axis=0), 5, axis=0)
        return ops.sum(choices * chosen[..., None, None, None], axis=0)


class Saturated(Defence):
    """The softmax over all captions at a temperature where it is one-hot, and flat."""

    def encode_images(self, images, training=False):
        texts = ops.convert_to_tensor(self.captions)
        cosines = self.inner.encode_images(images) @ ops.transpose(texts)
        return l2_normalize(ops.softmax(1e5 * cosines) @ texts)


class TextFlipped(Defence):
    """The values as they are, each word with the gradient of its mirror image in the caption."""

    def encode_text_embeddings(self, embeddings, padding_mask, training=False):
        mirrored = ops.flip(embeddings, axis=1)
        embeddings = mirrored + ops.stop_gradient(embeddings - mirrored)
        return self.inner.encode_text_embeddings(embeddings, padding_mask)


def make_saturated(make_fitted):
    model, split = make_fitted()
    defence = Saturated(model)
    defence.captions = ops.convert_to_numpy(model.encode_texts(split.captions))
    return defence, split


def make_defended(defend):
    def make(make_fitted):
        model, split = make_fitted(defend=defend)
        return Defence(model, defend), split

    return make


def make_walled(kind):
    def make(make_fitted):
        model, split = make_fitted()
        return kind(model), split

    return make


MASKED = {
    "quantised input": (make_defended(quantised), ["zero_gradients", "beats_gradient_free"]),
    "shattered gradient": (make_defended(shattered), ["beats_gradient_free"]),
    "saturated temperature": (make_saturated, ["zero_gradients"]),
    "stochastic tower": (make_walled(Stochastic), ["deterministic"]),
    "double normalisation": (make_defended(twice_normalised), ["zero_gradients"]),
    "flipped image gradient": (make_defended(flipped), ["beats_gradient_free"]),
    "flipped text gradient": (make_walled(TextFlipped), ["token_search"]),
    "random resizing": (make_walled(RandomlyResized), ["deterministic"]),
}


@pytest.mark.parametrize("name", MASKED)
def test_a_masked_model_is_masked(name, make_fitted):
    make, expected = MASKED[name]
    report = audit(*make(make_fitted), checks=expected, **SETTINGS)
    failed = [key for key, result in report["checks"].items() if result["verdict"] == "fail"]
    assert report["verdict"] == "masked" and failed == expected, format_audit(report)
    assert report["reason"].startswith(f"{expected[0]}. ")


def fitted(**options):
    return lambda make_fitted: make_fitted(**options)


def make_trained(make_fitted):
    """A few steps of adversarial training, at a soft temperature, at which it ends."""
    model, split = make_fitted(initial_temperature=SOFT)
    trainer = RoCMR(
        model,
        image_attack=PGD(0.06, num_steps=2, keep_best=False, seed=0),
        text_attack=EmbeddingPGD(0.3, num_steps=1, keep_best=False, seed=0),
    )
    trainer.compile(keras.optimizers.Adam(3e-3))
    images = model.preprocessor.load_images(list(split.images))
    batch = {"images": images, **model.preprocessor.tokenize(split.captions)}
    for _ in range(8):
        trainer.train_on_batch(batch)
    return model, split


# Among 32 captions a scale of 2 is as soft as one of 8, that of robust models, among hundreds.
SOFT = 1 / 2
# A budget that is mostly withstood, as by robust models.
SMALL = {"epsilon": 0.01}
# How it is made, which checks warn, and other settings.
HONEST = {
    "max pooling with leaky ReLU": (fitted(body="max pooling"), []),
    "unit tokens": (fitted(texts="unit tokens"), []),
    "robust, trained": (make_trained, ["temperature"], SMALL),
    "robust, soft": (fitted(initial_temperature=SOFT), ["temperature"], SMALL),
    "bag of words": (fitted(texts="bag of words"), []),
    "tiny vocabulary": (fitted(num_tokens=12), []),
    "group and batch normalisation": (fitted(body="normalised"), []),
    "logit scale 1e4": (
        fitted(initial_temperature=1e-4, max_scale=1e4),
        ["zero_gradients", "temperature"],
    ),
    "SigLIP bias": (fitted(use_logit_bias=True), []),
}


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_model_is_not_masked(name, make_fitted):
    make, expected, *other = HONEST[name]
    report = audit(*make(make_fitted), **{**SETTINGS, **(other[0] if other else {})})
    doubted = [key for key, result in report["checks"].items() if result["verdict"] != "pass"]
    assert doubted == expected, format_audit(report)
    assert report["verdict"] == ("caution" if expected else "sound")
    assert ("AutoAttack" in report["reason"]) == bool(expected)
