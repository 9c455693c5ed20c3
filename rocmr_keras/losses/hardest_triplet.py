import keras
from keras import ops

# So far below every similarity that an item without a negative has a hinge of zero.
_FAR = 1e9


@keras.saving.register_keras_serializable(package="rocmr_keras")
class HardestTriplet:
    """Triplet loss with the hardest negative of the batch, in both directions.

    It works on cosine similarities, without a temperature: `scale` and `bias` are ignored.
    Early in training it is less stable than `SymmetricSoftmax`.

    Args:
        margin: Float, by how much a positive must lead, in units of cosine similarity.
            Defaults to `0.2`.

    Call arguments:
        similarities: Float tensor `(rows, columns)`, cosine similarities.
        positives: Boolean tensor `(rows, columns)`.
        scale: Ignored.
        bias: Ignored.

    Returns:
        Scalar float tensor: the mean over positive pairs of both hinges; a row or
        column without a negative costs nothing.

    Raises:
        ValueError: If `margin` is not positive.

    Reference:
        - [Faghri et al., 2018](https://arxiv.org/abs/1707.05612), VSE++
    """

    def __init__(self, margin=0.2):
        if not margin > 0:
            raise ValueError(
                f"`margin` must be positive. Received: margin={margin!r}. "
                "Cosine similarities differ by at most 2; 0.2 is usual."
            )
        self.margin = margin

    def __call__(self, similarities, positives, scale=1.0, bias=0.0):
        negatives = ops.where(positives, -_FAR, similarities)
        by_row = ops.max(negatives, axis=1, keepdims=True)
        by_column = ops.max(negatives, axis=0, keepdims=True)
        hinges = ops.relu(self.margin + by_row - similarities)
        hinges = hinges + ops.relu(self.margin + by_column - similarities)
        weights = ops.cast(positives, similarities.dtype)
        return ops.sum(weights * hinges) / ops.sum(weights)

    def by_row(self, similarities, positives, scale=1.0, bias=0.0):
        """Returns what each row adds, `(rows,)`, in the direction of rows."""
        hardest = ops.max(ops.where(positives, -_FAR, similarities), axis=1, keepdims=True)
        hinges = ops.relu(self.margin + hardest - similarities)
        return ops.sum(ops.cast(positives, hinges.dtype) * hinges, axis=1)

    def mean(self, values, num_positives):
        """Returns the loss of what rows and columns add, and their counts of positives."""
        return ops.sum(values) / ops.sum(num_positives)

    def get_config(self):
        return {"margin": self.margin}

    @classmethod
    def from_config(cls, config):
        return cls(**config)
