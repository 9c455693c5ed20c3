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


class Wrapped:
    """A model whose image tower a subclass changes."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)


class TwiceNormalised(Wrapped):
    """Embeddings as long as the temperature: what it multiplies is divided out again."""

    def encode_images(self, images, training=False):
        return self.inner.encode_images(images, training=training) / self.inner.scale()


class Neighbourly(Wrapped):
    """Every image is seen beside the mean of its batch."""

    def encode_images(self, images, training=False):
        images = images - 0.5 * ops.mean(images, axis=0, keepdims=True)
        return self.inner.encode_images(images, training=training)


BROKEN = {"unit_length": TwiceNormalised, "batch_size": Neighbourly}


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_an_invariance_is_masked(name, model, split):
    kind = BROKEN[name]
    report = audit(kind(model), split, checks=[name], **SETTINGS)
    assert report["checks"][name]["verdict"] == "fail" and report["verdict"] == "masked"


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


HONEST = ("tanh", "linear", "convolutional")


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_model_is_sound(name, make_random_model, convolutional, split):
    """Random towers, of few images: seven are the fewest that can convict."""
    model = convolutional
    if name != "convolutional":
        model = make_random_model(HONEST.index(name), activation=name)
    source = make_random_model(9)
    report = audit(model, split, source=source, **{**SETTINGS, "num_steps": 8})
    assert report["verdict"] == "sound", format_audit(report)
    assert set(report["checks"]) == set(CHECKS)


def test_the_report_is_plain(model, split, capsys):
    settings = {**SETTINGS, "verbose": 1}
    report = audit(model, split, checks=["deterministic", "beats_transfer"], **settings)
    json.dumps(report, allow_nan=False)
    # Without a source nothing is said about transfer.
    assert set(report["checks"]) == {"deterministic"}
    assert report["budget"]["objective"] == "contrastive"
    printed = capsys.readouterr().out
    assert printed.startswith("pass     deterministic") and printed.strip() in format_audit(report)
    assert format_audit(report).endswith("sound: " + report["reason"])


def test_errors(model, split):
    with pytest.raises(ValueError, match=r"must be in \(0, 1\]. .*Received: epsilon=8"):
        audit(model, split, 8)
    with pytest.raises(ValueError, match="`checks` must be among .*Leave out .'luck'"):
        audit(model, split, 0.1, checks=["luck"])
