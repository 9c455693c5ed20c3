"""Gradient checkpointing: blocks that are computed again in the backward pass."""

import keras
from keras import ops

from rocmr_keras.fine_tuning.blocks import ordered_blocks


def rematerialize(tower):
    """Gradient checkpointing: stores only the inputs of blocks and recomputes the rest.

    It applies to every block of a tower, see `rocmr_keras.fine_tuning.ordered_blocks`. Each
    backward pass, of training and of attacks, then takes one more forward pass of the blocks
    and, in a tower of many blocks, much less memory. The results stay the same: batch
    statistics are written once, and dropout draws the same mask again. It is a setting of the
    run and not saved with the model.

    On JAX with a CPU, XLA's scheduler undoes the saving: it computes early what could run
    at the same time. Set `XLA_FLAGS=--xla_cpu_enable_concurrency_optimized_scheduler=false`
    before Python starts.

    `keras.RematScope` is no substitute: it hands `training=` on as a tensor and
    recomputes outside of the layer's own context, which fails on every backend.

    Args:
        tower: Keras layer or model, built.

    Returns:
        List of the blocks.

    Raises:
        ValueError: If it was done before.

    Example:

    ```python
    rocmr_keras.fine_tuning.rematerialize(model.image_encoder)
    ```

    Reference:
        - [Chen et al., 2016](https://arxiv.org/abs/1604.06174)
    """
    _, blocks = ordered_blocks(tower)
    if any(isinstance(block.call, _Rematerialized) for block in blocks):
        raise ValueError(
            "A tower is rematerialized once. Received: "
            f"{tower.name}, whose blocks are already. Leave the second call out."
        )
    for block in blocks:
        block.call = _Rematerialized(block)
    return blocks


class _Rematerialized:
    """Stands in for a block's `call`: a pure function of tensors, which `remat` asks for."""

    def __init__(self, block):
        self.block = block
        self.function = block.call
        self.inside = False

    def __call__(self, *args, **kwargs):
        if self.inside:
            return self.function(*args, **kwargs)
        arguments = keras.tree.flatten((args, kwargs))
        moving = [_is_float(argument) for argument in arguments]
        weights = self.block.trainable_variables
        state = self.block.non_trainable_variables
        # The product copies: what is assigned below must not reach the second pass.
        before = [ops.convert_to_tensor(variable) * 1 for variable in state]
        changed = []

        def compute(*tensors):
            inputs, values = tensors[: sum(moving)], tensors[sum(moving) :]
            given = iter(inputs)
            whole = [next(given) if moves else x for moves, x in zip(moving, arguments)]
            again = keras.tree.pack_sequence_as((args, kwargs), whole)
            mapping = [*zip(weights, values), *zip(state, before)]
            outputs, updates = self._run(mapping, *again)
            changed[:] = [v for v, _ in updates]
            return outputs, [value for _, value in updates]

        inputs = [x for moves, x in zip(moving, arguments) if moves]
        # Not the variables themselves: TensorFlow would differentiate by those twice.
        values = [ops.reshape(weight, weight.shape) for weight in weights]
        outputs, updates = keras.remat(compute)(*inputs, *values)
        for variable, value in zip(changed, updates):
            variable.assign(value)
        return outputs

    def _run(self, mapping, args, kwargs):
        """Calls the whole layer, since autocasting and `training` are set up there."""
        old = {id(variable): value for variable, value in mapping}
        self.inside = True
        try:
            with keras.StatelessScope(state_mapping=mapping) as scope:
                outputs = self.block(*args, **kwargs)
        finally:
            self.inside = False
        updates = []
        for variable in self.block.non_trainable_variables:
            new = scope.get_current_value(variable)
            if new is not None and new is not old[id(variable)]:
                updates.append((variable, new))
        return outputs, updates


def _is_float(x):
    if not ops.is_tensor(x):
        return False
    return "float" in keras.backend.standardize_dtype(x.dtype)
