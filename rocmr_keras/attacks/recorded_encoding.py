from rocmr_keras.backend import value_and_grad
from rocmr_keras.backend import vjp


class RecordedEncoding:
    """One forward pass of clean inputs that serves twice.

    Others compare with its embeddings; and an attack that starts at the clean inputs takes its
    first gradient from it.

    Args:
        encode: Callable from images, or token embeddings, to embeddings.
        inputs: Float tensor `(batch, ...)`.

    Attributes:
        inputs: The tensor given.
        embeddings: Float tensor `(batch, dim)`.
    """

    def __init__(self, encode, inputs):
        self.inputs = inputs
        self.embeddings, self._pull_back = vjp(encode, inputs)

    def value_and_grad(self, loss_fn):
        """Returns losses `(batch,)` of the embeddings, and the gradient of their sum by the inputs.

        To be called once.
        """
        losses, gradient = value_and_grad(loss_fn)(self.embeddings)
        return losses, self._pull_back(gradient)


class EncodedLoss:
    """The loss that an attack climbs, as a function of what the model encodes.

    Args:
        encode: Callable from images, or token embeddings, to embeddings.
        goal: A `Goal`. Where it has a `RecordedEncoding`, the first gradient at its inputs is
            taken from there.

    Call arguments:
        inputs: Float tensor `(batch, ...)`.

    Returns:
        Float tensor `(batch,)`.
    """

    def __init__(self, encode, goal):
        self.encode = encode
        self.goal = goal
        self._recorded = goal.recorded

    def __call__(self, inputs):
        return self.goal(self.encode(inputs))

    def value_and_grad(self, inputs):
        """Returns losses and the gradient of their sum."""
        recorded = self._recorded
        if recorded is None or inputs is not recorded.inputs:
            return value_and_grad(self)(inputs)
        self._recorded = None
        return recorded.value_and_grad(self.goal)
