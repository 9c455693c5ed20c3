"""What docstrings show of one's own towers, attacks, losses and terms runs, and trains."""

import inspect
import re
import textwrap

import keras
import numpy as np
import pytest
from keras import ops

import rocmr_keras

LONGEST = 15


def examples(thing):
    found = re.findall(r"```python\n(.*?)```", inspect.getdoc(thing), re.DOTALL)
    return [textwrap.dedent(example) for example in found]


def run(example):
    assert len(example.strip().splitlines()) <= LONGEST
    namespace = {"keras": keras, "np": np, "rocmr_keras": rocmr_keras}
    exec(compile(example, "<docstring>", "exec"), namespace)
    return namespace


def train(model, **arguments):
    """Trains for one step, and returns the loss and how far the weights went."""
    trainer = rocmr_keras.RoCMR(model, **arguments)
    trainer.compile(keras.optimizers.SGD(0.1))
    before = [np.array(ops.convert_to_numpy(w)) for w in model.trainable_weights]
    tokens = model.preprocessor.tokenize(["a red square", "some blue thing"])
    images = np.random.RandomState(0).uniform(size=(2, 8, 12, 3)).astype("float32")
    logs = trainer.train_on_batch({"images": images, **tokens}, return_dict=True)
    after = [ops.convert_to_numpy(w) for w in model.trainable_weights]
    return float(logs["loss"]), max(np.abs(a - b).max() for a, b in zip(after, before))


@pytest.fixture
def model(small_model):
    """A copy: training moves it."""
    return type(small_model).from_config(small_model.get_config())


def test_a_text_tower(small_preprocessor):
    whole, own, symbolic = examples(rocmr_keras.models.DualEncoder)
    assert tuple(run(whole)["texts"].shape) == (1, 64)
    shapes = run(whole + symbolic)["functional"].output_shape
    assert shapes == [(None, 64), (None, 64)]
    tower = run(own)["BagOfWords"](small_preprocessor.vocabulary_size, 8)
    assert isinstance(tower, rocmr_keras.models.TextTower)
    images = rocmr_keras.models.ConvolutionalImageEncoder(8, (8,), (1,))
    model = rocmr_keras.models.DualEncoder(images, tower, small_preprocessor)
    attack = rocmr_keras.attacks.EmbeddingPGD(0.3, num_steps=1)
    loss, moved = train(model, text_attack=attack, terms="rocmr_text_only")
    assert np.isfinite(loss) and moved > 0


def test_an_attack(model):
    (example,) = examples(rocmr_keras.attacks.ImageAttack)
    attack = run(example)["FGSM"]()
    loss, moved = train(model, image_attack=attack, terms="tecoa")
    assert np.isfinite(loss) and moved > 0


def test_a_loss(model):
    (example,) = examples(rocmr_keras.losses.get)
    own = run(example)["logistic_ranking"]
    similarities = ops.convert_to_tensor([[0.5, 0.4], [0.9, 0.5]])
    found = own(similarities, ops.eye(2), 1.0, 0.0)
    # The wrong two of four pairs are by 0.1 worse and by 0.4 better than the right ones.
    expected = (np.log1p(np.exp(-0.1)) + np.log1p(np.exp(0.4))) / 4
    assert float(ops.convert_to_numpy(found)) == pytest.approx(expected, abs=1e-6)
    loss, moved = train(model, loss=own, terms="standard")
    assert loss > 0 and moved > 0


def test_terms(model):
    (example,) = examples(rocmr_keras.trainers.Terms)
    attacks = {
        "image_attack": rocmr_keras.attacks.PGD(4 / 255, num_steps=1),
        "text_attack": rocmr_keras.attacks.EmbeddingPGD(0.3, num_steps=1),
    }
    loss, moved = train(model, terms=run(example)["terms"], **attacks)
    assert np.isfinite(loss) and moved > 0
