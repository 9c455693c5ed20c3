import torch

from rocmr_keras.backend.devices.processes import begin_alike
from rocmr_keras.backend.devices.processes import is_group
from rocmr_keras.backend.finite import changing_variables
from rocmr_keras.backend.finite import mark_finite
from rocmr_keras.backend.scope import discard_updates


def value_and_grad(function):
    """Turns a per-example loss into its values and its gradient by the input.

    Works inside `torch.no_grad()` and leaves `.grad` of every weight alone.

    Args:
        function: Callable from a float tensor to losses of shape `(batch,)`.

    Returns:
        A callable from a tensor to `(losses, gradient)`, where `gradient` is that of
        the sum of the losses, shaped like the input, and zero where `function` does
        not depend on it.
    """

    def wrapped(inputs):
        with torch.enable_grad(), discard_updates():
            # A leaf, so that nothing flows back into what made the inputs.
            inputs = inputs.detach().requires_grad_()
            losses = function(inputs)
            # `autograd.grad` refuses a loss that depends on no input at all.
            if not losses.requires_grad:
                return losses, torch.zeros_like(inputs)
            (gradient,) = torch.autograd.grad(losses.sum(), inputs, allow_unused=True)
        if gradient is None:
            gradient = torch.zeros_like(inputs)
        return losses.detach(), gradient

    return wrapped


def vjp(function, inputs):
    """Runs a function once, and can go back from its outputs to the inputs afterwards.

    Args:
        function: Callable from a float tensor to a float tensor.
        inputs: Float tensor.

    Returns:
        Tuple of the outputs, which no gradient flows through, and a callable from a gradient
        by the outputs to the one by the inputs, to be called once.
    """
    with torch.enable_grad(), discard_updates():
        leaf = inputs.detach().requires_grad_()
        outputs = function(leaf)

    def pull_back(gradient):
        return torch.autograd.grad(outputs, leaf, gradient)[0]

    return outputs.detach(), pull_back


# Eager: a loop and its unrolled form are the same.
UNROLLED_STEPS = 0


class AdversarialSteps:
    """Mixin before `keras.Model`: perturb the batch, then take Keras's own step.

    The model that mixes it in defines `perturb(data, training)`. It runs without gradients:
    attacks ask for theirs through `value_and_grad`.

    Attributes:
        undoes_steps: Boolean, whether a step that is not finite leaves everything as it was.
    """

    undoes_steps = False

    def make_train_function(self, force=False):
        super().make_train_function(force=force)
        if is_group():
            begin_alike(self)

    def _initialize_ddp(self):
        # From 3.16 on Keras wraps a model of several processes to average its gradients, which
        # `begin_alike` sees to; and it fails where a step trains only some of the weights.
        pass

    def train_step(self, data):
        changing = changing_variables(self) if self.undoes_steps else []
        before = [variable.value.detach().clone() for variable in changing]
        logs = super().train_step(self._perturb_without_gradient(data, True))
        with torch.no_grad():
            logs, is_finite = mark_finite(logs, [each.value for each in self.trainable_variables])
            if changing and not is_finite:
                for variable, old in zip(changing, before):
                    variable.assign(old)
        return logs

    def test_step(self, data):
        return super().test_step(self._perturb_without_gradient(data, False))

    def predict_step(self, data):
        return super().predict_step(self._perturb_without_gradient(data, False))

    def _perturb_without_gradient(self, data, training):
        with torch.no_grad():
            return self.perturb(data, training=training)


def build_optimizer(model):
    """Makes the variables of a compiled model's optimizer."""
    model.optimizer.build(model.trainable_variables)


def random_state():
    """Returns what draws outside of Keras's variables start from, `Dropout` among them.

    Returns:
        Dict from `cpu`, and `cuda_0` and so on, to a uint8 array.
    """
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states |= {f"cuda_{i}": each for i, each in enumerate(torch.cuda.get_rng_state_all())}
    return {name: state.cpu().numpy().copy() for name, state in states.items()}


def set_random_state(state):
    """Sets what `random_state` has returned, as far as this machine has the devices."""
    for name, values in state.items():
        tensor = torch.from_numpy(values.copy())
        device = int(name.removeprefix("cuda_")) if name != "cpu" else None
        if device == 0 and is_group():
            # Process 0 saved it; each computes on a device of its own.
            torch.cuda.set_rng_state(tensor)
        elif device is None:
            torch.set_rng_state(tensor)
        elif device < torch.cuda.device_count():
            torch.cuda.set_rng_state(tensor, device)
