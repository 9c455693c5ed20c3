import tensorflow as tf

from rocmr_keras.backend.devices.mirrored import check_strategy
from rocmr_keras.backend.devices.mirrored import count_replicas
from rocmr_keras.backend.devices.mirrored import sum_before_clipping
from rocmr_keras.backend.finite import changing_variables
from rocmr_keras.backend.finite import mark_finite
from rocmr_keras.backend.scope import discard_updates
from rocmr_keras.backend.tensorflow_chunks import rows_in_place


def value_and_grad(function):
    """Turns a per-example loss into its values and its gradient by the input.

    Only the input is differentiated: no gradient of a weight is computed, and
    nothing that `function` writes to a Keras variable survives.

    Args:
        function: Callable from a float tensor to losses of shape `(batch,)`.

    Returns:
        A callable from a tensor to `(losses, gradient)`, where `gradient` is that of
        the sum of the losses, shaped like the input, and zero where `function` does
        not depend on it.
    """

    def wrapped(inputs):
        # Another tensor, or `function` could not hold the same one as a constant.
        inputs = tf.identity(inputs)
        # Weights are not recorded: nobody asks for their gradient here.
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            with discard_updates():
                losses = function(inputs)
            total = tf.reduce_sum(losses)
        gradient = tape.gradient(total, inputs, unconnected_gradients=tf.UnconnectedGradients.ZERO)
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
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        with discard_updates():
            outputs = function(inputs)

    def pull_back(gradient):
        return tape.gradient(outputs, inputs, output_gradients=gradient)

    return outputs, pull_back


# A graph loop compiles once and costs nothing at run time.
UNROLLED_STEPS = 4


class AdversarialSteps:
    """Mixin before `keras.Model`: perturb the batch, then take Keras's own step.

    The model that mixes it in defines `perturb(data, training)`. `compile` stays Keras's
    own, or a saved model would not be compiled again when it is loaded.

    Attributes:
        undoes_steps: Boolean, whether a step that is not finite leaves everything as it was.
        spans_devices: Boolean, whether it runs on several replicas as it would on one.
    """

    undoes_steps = False
    spans_devices = False

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self._distribute_strategy is not None:
            check_strategy(self._distribute_strategy, self.spans_devices)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # Keras would run a step for the shapes, on the mean of what the replicas read: it fails
        # at the padding mask. The shapes are known.
        if self._distribute_strategy is None:
            super()._maybe_symbolic_build(iterator, data_batch)

    def make_train_function(self, force=False):
        if count_replicas(self) > 1:
            sum_before_clipping(self.optimizer)
        super().make_train_function(force=force)

    def train_step(self, data):
        changing = changing_variables(self) if self.undoes_steps else []
        before = [tf.identity(variable.value) for variable in changing]
        with rows_in_place(not self.jit_compile):
            logs = super().train_step(self.perturb(data, training=True))
        logs, is_finite = mark_finite(logs, self.trainable_variables)
        for variable, old in zip(changing, before):
            variable.assign(tf.where(is_finite, variable.value, old))
        return logs

    def test_step(self, data):
        with rows_in_place(not self.jit_compile):
            return super().test_step(self.perturb(data, training=False))

    def predict_step(self, data):
        with rows_in_place(not self.jit_compile):
            return super().predict_step(self.perturb(data, training=False))


def build_optimizer(model):
    """Makes the variables of a compiled model's optimizer, where the model has its own."""
    with model.distribute_strategy.scope():
        model.optimizer.build(model.trainable_variables)


def random_state():
    """Returns what draws outside of Keras's variables start from: here nothing does."""
    return {}


def set_random_state(state):
    """Sets what `random_state` has returned."""
