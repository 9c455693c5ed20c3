import contextlib
import threading

import tensorflow as tf


class _Local(threading.local):
    in_place = False


_local = _Local()


@contextlib.contextmanager
def rows_in_place(allowed):
    """Has chunks write their rows where they belong, in graphs that XLA does not compile."""
    before, _local.in_place = _local.in_place, allowed
    try:
        yield
    finally:
        _local.in_place = before


def needs_like(total, size):
    """Returns whether a chunk has to be run before the loop, see `row_chunks`."""
    return isinstance(total, int) and total % size == 0


def run_chunks(run, total, size, state, weights, like=None):
    """Runs a function on one chunk of a batch after another, see `row_chunks`."""
    odd = 0
    if not needs_like(total, size):
        odd = (total - 1) % size + 1
    elif like is None:
        like, _ = run(0, size, state, weights)
    chunks = _Chunks(run, odd, (total - odd) // size, size, like)
    if not weights:
        outputs, after, _ = chunks.forward(state, weights)
        return outputs, after
    after = []

    @tf.custom_gradient
    def forward(*weights):
        outputs, after[:], starts = chunks.forward(state, weights)

        def backward(*upstream):
            return chunks.backward([state, starts], weights, upstream)

        return outputs, backward

    return forward(*weights), after


class _Chunks:
    """A first chunk of `odd` rows, perhaps of none, and a loop over `count` of `size` rows."""

    def __init__(self, run, odd, count, size, like):
        self.run = run
        self.odd = odd
        self.count = count
        self.size = size
        self.like = like
        self.begins_odd = like is None

    def forward(self, state, weights):
        """Returns outputs, the last state, and the states that chunks of the loop began with."""
        total = self._place(self.count)
        if self.begins_odd:
            first, state = self.run(0, self.odd, state, weights)
            found = [_put(_room(each, total), 0, each) for each in first]
        else:
            first, found = [], [_room(each, total) for each in self.like]
        starts = [
            tf.TensorArray(each.dtype, self.count, element_shape=each.shape) for each in state
        ]

        def advance(index, state, found, starts):
            starts = [array.write(index, each) for array, each in zip(starts, state)]
            place = self._place(index)
            outputs, state = self.run(place, self.size, state, weights)
            found = [_put(rows, place, each) for rows, each in zip(found, outputs)]
            return index + 1, state, found, starts

        state, found, starts = self._loop(advance, first, state, found, starts)
        return found, state, [array.stack() for array in starts]

    def backward(self, states, weights, upstream):
        """Returns the gradient by each weight, `None` where nothing depends on it."""
        (state, starts), weights = states, _after(upstream, weights)
        sums, used = [tf.zeros_like(weight) for weight in weights], []
        if self.begins_odd:
            sums = _add(sums, self._gradient(0, self.odd, state, weights, upstream))

        def advance(index, sums):
            state = [each[index] for each in starts]
            found = self._gradient(self._place(index), self.size, state, weights, upstream)
            used[:] = [each is not None for each in found]
            return index + 1, _add(sums, found)

        (sums,) = self._loop(advance, sums, sums)
        return [total if is_used else None for total, is_used in zip(sums, used)]

    def _gradient(self, first, count, state, weights, upstream):
        # Other tensors: inside of a loop the tape does not know those from outside.
        weights = [tf.identity(weight) for weight in weights]
        upstream = [each[first : first + count] for each in upstream]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            outputs, _ = self.run(first, count, state, weights)
        found = tape.gradient(outputs, weights, output_gradients=upstream)
        # That of a lookup is sparse, and a loop adds dense ones.
        return [None if each is None else tf.convert_to_tensor(each) for each in found]

    def _loop(self, advance, first, *values):
        with tf.control_dependencies(first):
            start = tf.identity(0)
        # More than one iteration at a time would hold the activations of all of them.
        _, *values = tf.while_loop(
            lambda index, *_: index < self.count, advance, (start, *values), parallel_iterations=1
        )
        return values

    def _place(self, index):
        return self.odd + index * self.size


def _add(sums, found):
    return [total if each is None else total + each for total, each in zip(sums, found)]


def _room(like, total):
    """Returns a tensor of rows to be put in; one of zeros might be a constant of others, too."""
    return tf.raw_ops.Empty(shape=tf.concat([[total], tf.shape(like)[1:]], 0), dtype=like.dtype)


def _put(whole, first, rows):
    """Returns the tensor with some rows put in. It has no other use, for it is changed itself.

    Arrays of chunks that are joined in the end would take twice as much.
    """
    places = first + tf.range(tf.shape(rows)[0])
    if _local.in_place:
        return tf.raw_ops.InplaceUpdate(x=whole, i=places, v=rows)
    # XLA knows no other, and does this in place, too.
    return tf.tensor_scatter_nd_update(whole, places[:, None], rows)


def _after(upstream, weights):
    """Returns the same weights, but not before the gradient is there: XLA heeds only data."""
    with tf.control_dependencies(upstream):
        nothing = 0.0 * tf.reduce_sum(tf.reshape(upstream[0], [-1])[:1])
        return [weight + tf.cast(nothing, weight.dtype) for weight in weights]
