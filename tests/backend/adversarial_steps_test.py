"""The steps of the mixin, on a model whose attack is visible in its numbers."""

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.backend import AdversarialSteps
from rocmr_keras.backend import value_and_grad

INPUTS = np.array([[1.0], [2.0], [3.0], [4.0]], "float32")


@keras.saving.register_keras_serializable(package="rocmr_keras_tests")
class Shifted(AdversarialSteps, keras.Model):
    """Multiplies `x + gradient of w * x` by `w`; counts its attacks."""

    def __init__(self):
        super().__init__()
        self.w = self.add_weight(shape=(), initializer=keras.initializers.Constant(2.0))
        self.attacks = self.add_weight(shape=(), initializer="zeros", trainable=False)
        self.was_training = []
        self.built = True

    def perturb(self, data, training):
        inputs, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        inputs = ops.convert_to_tensor(inputs)
        self.was_training.append(training)
        self.attacks.assign_add(1.0)
        score = value_and_grad(lambda x: ops.sum(ops.convert_to_tensor(self.w) * x, axis=-1))
        _, gradient = score(inputs)
        return inputs + gradient

    def call(self, inputs):
        return inputs * self.w

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return ops.mean(y_pred)


@pytest.fixture(scope="module")
def model():
    model = Shifted()
    model.compile(keras.optimizers.SGD(0.1))
    return model


def value(variable):
    return float(ops.convert_to_numpy(variable))


def test_predict_attacks_with_the_gradient_of_the_weights(model):
    model.w.assign(2.0)
    model.attacks.assign(0.0)
    np.testing.assert_allclose(model.predict(INPUTS, batch_size=2, verbose=0), 2 * (INPUTS + 2))
    assert value(model.attacks) == 2.0
    assert set(model.was_training) == {False}


def test_test_step_attacks_and_hands_on_what_the_attack_wrote(model):
    model.w.assign(2.0)
    model.attacks.assign(0.0)
    assert model.evaluate(INPUTS, batch_size=2, verbose=0) == pytest.approx(2 * (2.5 + 2))
    assert value(model.attacks) == 2.0
    assert set(model.was_training) == {False}


def test_train_step_learns_from_the_attacked_inputs_only(model):
    model.w.assign(2.0)
    model.attacks.assign(0.0)
    model.was_training.clear()
    model.fit(INPUTS, batch_size=4, epochs=1, verbose=0)
    # The attack is a constant of the loss: d mean(w * (x + 2)) / dw = mean(x + 2).
    assert value(model.w) == pytest.approx(2.0 - 0.1 * (2.5 + 2))
    assert value(model.attacks) == 1.0
    assert set(model.was_training) == {True}
