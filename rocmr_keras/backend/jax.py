import jax
import keras

from rocmr_keras.backend.finite import mark_finite
from rocmr_keras.backend.scope import discard_updates


def value_and_grad(function):
    """Turns a per-example loss into its values and its gradient by the input.

    `function` runs in a nested scope that is thrown away, so that a layer which
    writes to a variable leaks no tracer.

    Args:
        function: Callable from a float tensor to losses of shape `(batch,)`.

    Returns:
        A callable from a tensor to `(losses, gradient)`, where `gradient` is that of
        the sum of the losses, shaped like the input, and zero where `function` does
        not depend on it.
    """

    def total(inputs):
        with discard_updates():
            losses = function(inputs)
        # JAX differentiates scalars. No example affects the loss of another, so the gradient
        # of the sum holds that of each.
        return losses.sum(), losses

    def wrapped(inputs):
        (_, losses), gradient = jax.value_and_grad(total, has_aux=True)(inputs)
        return losses, gradient

    return wrapped


def vjp(function, inputs):
    """Runs a function once, and can go back from its outputs to the inputs afterwards.

    Args:
        function: Callable from a float tensor to a float tensor.
        inputs: Float tensor.

    Returns:
        Tuple of the outputs and a callable from a gradient by the outputs to the one by the
        inputs, to be called once.
    """

    def run(inputs):
        with discard_updates():
            return function(inputs)

    outputs, pull_back = jax.vjp(run, inputs)
    return outputs, lambda gradient: pull_back(gradient)[0]


# On CPUs a loop is as fast, with convolutions as in `jax_convolutions`, and 20 steps compile in a
# third of the time. Towers that have Keras's own convolutions are slower in a loop.
UNROLLED_STEPS = 4


class AdversarialSteps:
    """Mixin before `keras.Model`: perturb the batch, then take Keras's own step.

    The model that mixes it in defines `perturb(data, training)`. Keras's steps on JAX are
    functions of a state tuple: `perturb` runs on that state, and what it writes to
    non-trainable variables (the seeds of the attacks) is handed on.

    Attributes:
        undoes_steps: Boolean, whether a step that is not finite leaves everything as it was.
    """

    undoes_steps = False

    def train_step(self, state, data):
        trainable, non_trainable, *rest = state
        data, perturbed = self._perturb_on(trainable, non_trainable, data, True)
        logs, updated = super().train_step((trainable, perturbed, *rest), data)
        logs, is_finite = mark_finite(logs, updated[0])
        if self.undoes_steps:
            updated = tuple(
                [jax.numpy.where(is_finite, new, old) for new, old in zip(values, before)]
                for values, before in zip(updated, state)
            )
        return logs, updated

    def test_step(self, state, data):
        trainable, non_trainable, *rest = state
        data, non_trainable = self._perturb_on(trainable, non_trainable, data, False)
        return super().test_step((trainable, non_trainable, *rest), data)

    def predict_step(self, state, data):
        trainable, non_trainable = state
        data, non_trainable = self._perturb_on(trainable, non_trainable, data, False)
        return super().predict_step((trainable, non_trainable), data)

    def _perturb_on(self, trainable, non_trainable, data, training):
        mapping = [
            *zip(self.trainable_variables, trainable),
            *zip(self.non_trainable_variables, non_trainable),
        ]
        with keras.StatelessScope(state_mapping=mapping) as scope:
            data = self.perturb(data, training=training)
        updated = []
        for variable, old in zip(self.non_trainable_variables, non_trainable):
            # `None` for a variable that was not written to.
            new = scope.get_current_value(variable)
            updated.append(old if new is None else new)
        return data, updated


def build_optimizer(model):
    """Makes the variables of a compiled model's optimizer."""
    model.optimizer.build(model.trainable_variables)


def random_state():
    """Returns what draws outside of Keras's variables start from: here nothing does."""
    return {}


def set_random_state(state):
    """Sets what `random_state` has returned."""
