import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.backend import UNROLLED_STEPS
from rocmr_keras.backend import discard_updates
from rocmr_keras.backend import value_and_grad
from rocmr_keras.backend import vjp

INPUTS = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]], "float32")
CENTRE = np.array([0.5, 0.5, 0.5], "float32")


def run(function, inputs=INPUTS):
    losses, gradient = value_and_grad(function)(ops.convert_to_tensor(inputs))
    return ops.convert_to_numpy(losses), ops.convert_to_numpy(gradient)


def parabola(inputs):
    return ops.sum(ops.square(ops.subtract(inputs, CENTRE)), axis=-1)


def test_parabola():
    losses, gradient = run(parabola)
    np.testing.assert_allclose(losses, ((INPUTS - CENTRE) ** 2).sum(-1), rtol=1e-6)
    np.testing.assert_allclose(gradient, 2 * (INPUTS - CENTRE), rtol=1e-6)


def test_a_loss_that_ignores_its_input_has_a_zero_gradient():
    losses, gradient = run(lambda inputs: ops.convert_to_tensor(np.ones(2, "float32")))
    np.testing.assert_array_equal(losses, [1.0, 1.0])
    np.testing.assert_array_equal(gradient, np.zeros_like(INPUTS))


def test_a_loss_of_weights_alone_has_a_zero_gradient():
    weight = keras.Variable(np.ones(2, "float32"))
    losses, gradient = run(lambda inputs: 3.0 * ops.convert_to_tensor(weight))
    np.testing.assert_array_equal(losses, [3.0, 3.0])
    np.testing.assert_array_equal(gradient, np.zeros_like(INPUTS))


def test_a_loss_may_hold_its_inputs_as_a_constant():
    inputs = ops.convert_to_tensor(INPUTS)
    _, gradient = value_and_grad(lambda moved: ops.sum(moved * inputs, axis=-1))(inputs)
    np.testing.assert_allclose(ops.convert_to_numpy(gradient), INPUTS)


def test_a_stopped_gradient_is_zero():
    _, gradient = run(lambda inputs: parabola(ops.stop_gradient(inputs)))
    np.testing.assert_array_equal(gradient, np.zeros_like(INPUTS))


@keras.saving.register_keras_serializable(package="rocmr_keras_tests")
class Restless(keras.layers.Layer):
    """Does to its state all that a layer may do in a call."""

    def __init__(self):
        super().__init__()
        self.weight = self.add_weight(shape=(3,), initializer="ones")
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)
        self.seed_generator = keras.random.SeedGenerator(7)
        self.built = True

    def call(self, inputs):
        self.count.assign_add(1.0)
        self.add_loss(ops.sum(inputs))
        noise = keras.random.uniform((3,), seed=self.seed_generator)
        # Reads what it has just written: 1 inside the function, 0 again outside.
        return inputs * self.weight * ops.convert_to_tensor(self.count) + 0.0 * noise


def test_what_the_function_writes_is_thrown_away(state_of):
    layer = Restless()
    before = state_of(layer)
    losses, gradient = run(lambda inputs: parabola(layer(inputs)))
    np.testing.assert_allclose(losses, ((INPUTS - CENTRE) ** 2).sum(-1), rtol=1e-6)
    np.testing.assert_allclose(gradient, 2 * (INPUTS - CENTRE), rtol=1e-6)
    for old, new in zip(before, state_of(layer)):
        np.testing.assert_array_equal(old, new)
    assert layer.losses == []


def test_discard_updates_reads_what_it_wrote_and_forgets_it():
    variable = keras.Variable(2.0)
    with discard_updates():
        variable.assign(5.0)
        assert float(ops.convert_to_numpy(ops.convert_to_tensor(variable))) == 5.0
    assert float(ops.convert_to_numpy(variable.value)) == 2.0


def test_it_sees_the_values_of_the_scope_around_it():
    variable = keras.Variable(2.0)
    other = keras.Variable(10.0)
    outer = ops.convert_to_tensor(np.float32(3.0))
    with keras.StatelessScope(state_mapping=[(variable, outer)]) as scope:
        other.assign(20.0)
        scale = lambda x: parabola(x) * ops.convert_to_tensor(variable)  # noqa: E731
        losses, gradient = run(lambda x: scale(x) + ops.convert_to_tensor(other))
        variable.assign_add(1.0)
        _, later = run(scale)
    expected = 3.0 * ((INPUTS - CENTRE) ** 2).sum(-1) + 20.0
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient, 3.0 * 2 * (INPUTS - CENTRE), rtol=1e-6)
    np.testing.assert_allclose(later, 4.0 * 2 * (INPUTS - CENTRE), rtol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(scope.get_current_value(variable)), 4.0)
    assert float(ops.convert_to_numpy(variable.value)) == 2.0


def test_what_is_written_inside_does_not_reach_the_scope_around_it():
    layer = Restless()
    with keras.StatelessScope() as scope:
        run(lambda inputs: parabola(layer(inputs)))
    written = [scope.get_current_value(variable) for variable in layer.variables]
    assert written == [None] * len(written)


@pytest.mark.parametrize("shape", [(2, 4, 4, 3), (3, 5, 2)])
def test_the_gradient_is_shaped_like_the_input(shape):
    inputs = np.random.RandomState(0).normal(size=shape).astype("float32")
    axes = tuple(range(1, len(shape)))
    losses, gradient = run(lambda x: ops.sum(x**3, axis=axes), inputs)
    assert losses.shape == shape[:1]
    np.testing.assert_allclose(gradient, 3 * inputs**2, rtol=1e-5, atol=1e-6)


def test_unrolled_steps_is_a_count():
    assert isinstance(UNROLLED_STEPS, int) and UNROLLED_STEPS >= 0


def test_vjp_goes_back_from_outputs():
    outputs, pull_back = vjp(ops.sin, ops.convert_to_tensor(INPUTS))
    np.testing.assert_allclose(ops.convert_to_numpy(outputs), np.sin(INPUTS), rtol=1e-6)
    gradient = pull_back(ops.convert_to_tensor(2.0 * INPUTS))
    expected = 2.0 * INPUTS * np.cos(INPUTS)
    np.testing.assert_allclose(ops.convert_to_numpy(gradient), expected, rtol=1e-5, atol=1e-6)


def test_vjp_writes_no_variable():
    layer = Restless()
    before = [ops.convert_to_numpy(variable).copy() for variable in layer.variables]
    _, pull_back = vjp(layer, ops.convert_to_tensor(INPUTS))
    pull_back(ops.convert_to_tensor(INPUTS))
    for old, variable in zip(before, layer.variables):
        np.testing.assert_array_equal(old, ops.convert_to_numpy(variable))
    assert not layer.losses
