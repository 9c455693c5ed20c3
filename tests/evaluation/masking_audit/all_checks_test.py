import json

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.evaluation import audit
from rocmr_keras.evaluation import format_audit
from rocmr_keras.evaluation.masking_audit import CHECKS
from rocmr_keras.models import ConvolutionalImageEncoder
from rocmr_keras.models import DualEncoder

pytestmark = pytest.mark.usefixtures("eagerly")

SETTINGS = {"epsilon": 0.1, "num_steps": 12, "num_queries": 40, "batch_size": 7, "verbose": 0}


class Defence:
    """A model behind a wall: what a subclass does not change goes through."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def encode_images(self, images, training=False):
        return self.inner.encode_images(self.defend(images), training=training)

    def defend(self, images):
        return images


class Quantised(Defence):
    """Four grey levels: the gradient of rounding is zero."""

    def defend(self, images):
        return ops.round(4.0 * images) / 4.0


class Shattered(Defence):
    """A ripple too fine to see, whose slope drowns the model's."""

    def defend(self, images):
        return images + 0.02 * ops.sin(1000.0 * images)


class Saturated(Defence):
    """A temperature at which the softmax of a right answer is 1 to the last bit."""

    def scale(self):
        return 1e5 * ops.ones(())


class Stochastic(Defence):
    """Noise on every input."""

    def __init__(self, inner):
        super().__init__(inner)
        self.seed_generator = keras.random.SeedGenerator(0)

    def defend(self, images):
        return images + 0.2 * keras.random.normal(ops.shape(images), seed=self.seed_generator)


class TwiceNormalised(Defence):
    """Embeddings as long as the temperature: what it multiplies is divided out again."""

    def encode_images(self, images, training=False):
        return self.inner.encode_images(images, training=training) / self.inner.scale()


DEFENCES = {
    "quantised": (Quantised, ["zero_gradients", "beats_gradient_free"]),
    "shattered": (Shattered, ["beats_gradient_free"]),
    "saturated": (Saturated, ["zero_gradients"]),
    "stochastic": (Stochastic, ["deterministic"]),
    "twice normalised": (TwiceNormalised, ["unit_length"]),
}


@pytest.mark.parametrize("name", DEFENCES)
def test_a_masked_defence_is_flagged(name, model, split):
    """The colours are all right when clean, so that there is something to hide."""
    kind, expected = DEFENCES[name]
    report = audit(kind(model), split, checks=expected, **SETTINGS)
    assert not report["passed"]
    failed = [key for key, result in report["checks"].items() if result["verdict"] == "fail"]
    assert failed == expected, format_audit(report)


@pytest.fixture(scope="module")
def convolutional(make_random_model):
    inner = make_random_model(4)
    keras.utils.set_random_seed(4)
    images = ConvolutionalImageEncoder(6, (8,), (1,), stem_stride=1)
    model = DualEncoder(images, inner.text_encoder, inner.preprocessor)
    random = np.random.RandomState(4)
    for weight in images.trainable_variables:
        if len(weight.shape) > 1:
            fan_in = np.prod(weight.shape[:-1])
            weight.assign(random.normal(size=weight.shape) / np.sqrt(fan_in / 2))
    return model


HONEST = ("tanh", "relu", "gelu", "linear", "convolutional")


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_model_passes(name, make_random_model, convolutional, split):
    model = convolutional
    if name != "convolutional":
        model = make_random_model(HONEST.index(name), activation=name)
    source = make_random_model(9)
    report = audit(model, split, source=source, **{**SETTINGS, "num_steps": 8})
    assert report["passed"], format_audit(report)
    assert set(report["checks"]) == set(CHECKS)


def test_the_report_is_plain(model, split, capsys):
    settings = {**SETTINGS, "verbose": 1}
    report = audit(model, split, checks=["deterministic", "beats_transfer"], **settings)
    json.dumps(report, allow_nan=False)
    # Without a source nothing is said about transfer.
    assert set(report["checks"]) == {"deterministic"}
    assert report["budget"]["objective"] == "contrastive"
    printed = capsys.readouterr().out
    assert printed.startswith("pass  deterministic") and printed.strip() in format_audit(report)
    assert format_audit(report).endswith("passed")
    failed = {"verdict": "fail", "figure": 0.5, "explanation": "Why."}
    text = format_audit({"passed": False, "checks": {"more_steps": failed}})
    assert text.splitlines()[-1] == "1 of 1 checks failed" and "fail  more_steps" in text


def test_errors(model, split):
    with pytest.raises(ValueError, match=r"must be in \(0, 1\]. .*Received: epsilon=8"):
        audit(model, split, 8)
    with pytest.raises(ValueError, match="`checks` must be among .*Leave out .'luck'"):
        audit(model, split, 0.1, checks=["luck"])
