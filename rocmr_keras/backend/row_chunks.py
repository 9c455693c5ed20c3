"""A function of a batch, run on some rows at a time.

Each backend has its `run_chunks(run, total, size, state, weights, like)`, which runs a function on
one chunk of a batch after another, and on each again to go back:

- `run(first, count, state, weights)` returns a list of outputs, tensors `(count, ...)`, and the
  state that it leaves;
- `total` are the rows of the batch, an integer, or on TensorFlow perhaps a scalar tensor, and
  `size` the rows of each chunk but the first;
- `state` is the list of tensors that the first chunk begins with;
- `weights` are tensors by which the outputs are differentiated; without any they are constants;
- `like` are the outputs of a chunk, where `needs_like(total, size)`: all chunks are in a loop then,
  and what is drawn inside of it cannot be read outside. Compilers drop what computes no more.

It returns the outputs `(total, ...)` and the state after the last chunk.
"""

import keras
from keras import ops

from rocmr_keras.backend.row_draws import part_of_batch

if keras.config.backend() == "tensorflow":
    from rocmr_keras.backend.tensorflow_chunks import needs_like
    from rocmr_keras.backend.tensorflow_chunks import run_chunks
elif keras.config.backend() == "jax":
    from rocmr_keras.backend.jax_chunks import needs_like
    from rocmr_keras.backend.jax_chunks import run_chunks
else:
    from rocmr_keras.backend.torch_chunks import needs_like
    from rocmr_keras.backend.torch_chunks import run_chunks


def in_chunks(function, batch, size, state=(), model=None):
    """Runs a function of independent rows on a few of them at a time.

    The first chunk may be smaller, the others run in one loop, so that compiling takes as long
    for many as for two. What `draw_rows` draws is what it would draw for the whole batch.

    Args:
        function: Callable from a dict of tensors `(rows, ...)` to such a dict. A row of what
            it returns depends on that row alone.
        batch: Dict of tensors `(batch, ...)`.
        size: Integer, the most rows of a chunk, or `None`: all rows at once.
        state: Variables that the function may write to. Each chunk goes on from what the one
            before has left. Defaults to none.
        model: Keras layer by whose weights the result is differentiated: nothing that a chunk
            computes is kept, it is computed again in the backward pass. Defaults to `None`: a
            constant.

    Returns:
        Dict of tensors `(batch, ...)`.

    Raises:
        ValueError: If the function writes to another variable, such as batch statistics, or
            a layer calls `add_loss`.
    """
    total = ops.shape(next(iter(batch.values())))[0]
    if size is None or isinstance(total, int) and total <= size:
        return function(batch)
    # Not read inside: a chunk that runs again sees what it saw before.
    weights = model.trainable_variables if model else []
    others = _without(model.variables, [*weights, *state]) if model else []
    constants = [(variable, _value(variable)) for variable in others]
    draws, names = [], []

    def run(first, count, state_values, weight_values):
        rows = {name: take_rows(value, first, count) for name, value in batch.items()}
        mapping = [*constants, *zip(weights, weight_values), *zip(state, state_values)]
        with part_of_batch(total, first, draws, size), _ChunkScope(mapping, state) as scope:
            found = function(rows)
        _check_losses(scope.losses)
        names[:] = found
        return list(found.values()), [scope.get_current_value(each) for each in state]

    # The product copies: `assign` would change the value itself on some backends.
    before = [ops.convert_to_tensor(variable) * 1 for variable in state]
    values = [_value(variable) for variable in weights]
    like = None
    if needs_like(total, size):
        like, after = run(0, min(size, total), before, values)
        seeds = {id(seed.state) for _, seed, _, _ in draws if seed is not None}
        states = zip(state, before, after)
        before = [new if id(each) in seeds else old for each, old, new in states]
    outputs, after = run_chunks(run, total, size, before, values, like)
    for variable, value in zip(state, after):
        variable.assign(value)
    return dict(zip(names, outputs))


class _ChunkScope(keras.StatelessScope):
    """Sees the values of the surrounding scope, and refuses writes to what is no state."""

    def __init__(self, mapping, state):
        super().__init__(mapping, collect_losses=True, initialize_variables=False)
        self._written = {id(variable) for variable in state}

    def __enter__(self):
        super().__enter__()
        if self.original_scope is not None:
            self.state_mapping = {**self.original_scope.state_mapping, **self.state_mapping}
        return self

    def add_update(self, update):
        if id(update[0]) not in self._written:
            raise ValueError(
                "A chunk must not depend on the others, as batch statistics do. Received: a "
                f"layer that writes to {update[0].path}. Freeze batch normalisation with "
                "`model.freeze(batch_norm=True)`, use group normalisation, or leave "
                "`chunk_size` out."
            )
        super().add_update(update)


def _check_losses(losses):
    if losses:
        raise ValueError(
            "A loss that a layer adds to the step may be a mean over the batch, which chunks "
            f"do not know. Received: {len(losses)} from `add_loss`. Use regularizers of "
            "weights, or leave `chunk_size` out."
        )


def _value(variable):
    # Not the variable itself: TensorFlow would differentiate by it twice.
    return ops.reshape(variable, variable.shape)


def rows_in_chunks(function, tensors, total, size):
    """Runs a function of some rows, which sees whole tensors, on a few rows at a time.

    What it computes is not kept, it is computed again in the backward pass.

    Args:
        function: Callable `(first, count, tensors)`, the place of the first row and how many they
            are, to a list of tensors `(count, ...)`. Reads no variables.
        tensors: List of float tensors, by which the result is differentiated.
        total: Integer or scalar tensor, the number of rows.
        size: Integer, the most rows at a time.

    Returns:
        List of tensors `(total, ...)`.
    """
    if isinstance(total, int) and total <= size:
        return function(0, total, tensors)

    def run(first, count, state, values):
        return function(first, count, values), state

    return run_chunks(run, total, size, [], tensors)[0]


def take_rows(rows, first, count):
    """Returns `count` rows of a tensor, of which the first is known when the step runs."""
    rest = ops.shape(rows)[1:]
    return ops.slice(rows, (first, *(0 for _ in rest)), (count, *rest))


def _without(variables, others):
    known = {id(variable) for variable in others}
    return [variable for variable in variables if id(variable) not in known]
