from rocmr_keras.backend import value_and_grad
from rocmr_keras.backend import vjp


class RecordedEncoding:
    """One forward pass of the clean images that serves twice.

    Others compare with its embeddings; and an attack that starts at the clean images takes its
    first gradient from it.

    Args:
        encode: Callable from images to embeddings.
        images: Float tensor `(batch, height, width, channels)`.

    Attributes:
        images: The tensor given.
        embeddings: Float tensor `(batch, dim)`.
    """

    def __init__(self, encode, images):
        self.images = images
        self.embeddings, self._pull_back = vjp(encode, images)

    def value_and_grad(self, loss_fn):
        """Returns losses `(batch,)` of the embeddings, and the gradient of their sum by the images.

        To be called once.
        """
        losses, gradient = value_and_grad(loss_fn)(self.embeddings)
        return losses, self._pull_back(gradient)


class ImageLoss:
    """The loss of images that an attack climbs, as a function.

    Args:
        model: A `DualEncoder`, or anything with its methods.
        goal: A `Goal`.
        recorded: A `RecordedEncoding`, or `None`. Defaults to `None`.

    Call arguments:
        images: Float tensor `(batch, height, width, channels)` in [0, 1].

    Returns:
        Float tensor `(batch,)`.
    """

    def __init__(self, model, goal, recorded=None):
        self.model = model
        self.goal = goal
        self.recorded = recorded

    def __call__(self, images):
        return self.goal(self.model.encode_images(images, **self.goal.encoding))

    def value_and_grad(self, images):
        """Returns losses and the gradient of their sum, by the recorded pass where there is one."""
        recorded = self.recorded
        if recorded is None or images is not recorded.images:
            return value_and_grad(self)(images)
        self.recorded = None
        return recorded.value_and_grad(self.goal)
