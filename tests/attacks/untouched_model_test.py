"""An attack leaves the weights, the statistics and the seeds of a model alone."""

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.attacks import Goal
from rocmr_keras.attacks import RandomNoise
from rocmr_keras.attacks import RandomSubstitution
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.models import TextEncoder


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
    found = attack.perturb(restless_model, batch, Goal(make_target()))
    if attack.side == "images":
        assert np.any(ops.convert_to_numpy(found["adversarial_images"]) != batch["images"])
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
