import tensorflow as tf

# The first chunk is traced by itself, and what it draws is there for the others.
DRAWS_BEFORE = False


def run_chunks(run, total, size, state, weights):
    """Runs a function on one chunk of a batch after another, see `row_chunks`."""
    odd = (total - 1) % size + 1
    chunks = _Chunks(run, odd, (total - odd) // size, size)
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
    """A first chunk of `odd` rows and a loop over `count` of `size` rows."""

    def __init__(self, run, odd, count, size):
        self.run = run
        self.odd = odd
        self.count = count
        self.size = size

    def forward(self, state, weights):
        """Returns outputs, the last state, and the states that chunks of the loop began with."""
        first, state = self.run(0, self.odd, state, weights)
        shapes = [(self.size, *each.shape[1:]) for each in first]
        found = [self._array(each.dtype, shape) for each, shape in zip(first, shapes)]
        starts = [self._array(each.dtype, each.shape) for each in state]

        def advance(index, state, found, starts):
            starts = [array.write(index, each) for array, each in zip(starts, state)]
            outputs, state = self.run(self._place(index), self.size, state, weights)
            found = [array.write(index, each) for array, each in zip(found, outputs)]
            return index + 1, state, found, starts

        state, found, starts = self._loop(advance, first, state, found, starts)
        others = [_rows(array.stack(), each) for array, each in zip(found, first)]
        outputs = [tf.concat(pair, 0) for pair in zip(first, others)]
        return outputs, state, [array.stack() for array in starts]

    def backward(self, states, weights, upstream):
        """Returns the gradient by each weight, `None` where nothing depends on it."""
        (state, starts), weights = states, _after(upstream, weights)
        total = self._gradient(0, self.odd, state, weights, upstream)
        used = [index for index, each in enumerate(total) if each is not None]

        def advance(index, sums):
            state = [each[index] for each in starts]
            found = self._gradient(self._place(index), self.size, state, weights, upstream)
            return index + 1, [each + found[at] for each, at in zip(sums, used)]

        sums = [total[at] for at in used]
        (sums,) = self._loop(advance, sums, sums)
        for at, each in zip(used, sums):
            total[at] = each
        return total

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

    def _array(self, dtype, shape):
        return tf.TensorArray(dtype, self.count, element_shape=shape)

    def _place(self, index):
        return self.odd + index * self.size


def _rows(stacked, like):
    return tf.reshape(stacked, tf.concat([[-1], tf.shape(like)[1:]], 0))


def _after(upstream, weights):
    """Returns the same weights, but not before the gradient is there: XLA heeds only data."""
    with tf.control_dependencies(upstream):
        nothing = 0.0 * tf.reduce_sum(tf.reshape(upstream[0], [-1])[:1])
        return [weight + tf.cast(nothing, weight.dtype) for weight in weights]
