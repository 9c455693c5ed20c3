import keras
from keras import ops


@keras.saving.register_keras_serializable(package="rocmr_keras")
class SymmetricSoftmax:
    """CLIP's loss: InfoNCE over rows and over columns, averaged.

    All other items of the batch are negatives, so it profits from large batches. If an item
    has several positives, the target is shared evenly among them. `PairwiseSigmoid`
    classifies each pair by itself, `HardestTriplet` uses the hardest negative only.

    Call arguments:
        similarities: Float tensor `(rows, columns)`, cosine similarities.
        positives: Boolean tensor `(rows, columns)`, at least one in each row and column.
        scale: Scalar, the inverse temperature. Defaults to `1.0`.
        bias: Scalar added to the logits; softmax ignores it. Defaults to `0.0`.

    Returns:
        Scalar float tensor.

    Example:

    ```python
    loss = SymmetricSoftmax()(similarities, positives, scale=1 / 0.07)
    ```

    Reference:
        - [Radford et al., 2021](https://arxiv.org/abs/2103.00020), CLIP
        - [Khosla et al., 2020](https://arxiv.org/abs/2004.11362), several positives
    """

    def __call__(self, similarities, positives, scale=1.0, bias=0.0):
        logits = scale * similarities + bias
        positives = ops.cast(positives, logits.dtype)
        rows = ops.mean(_cross_entropy(logits, positives, axis=1))
        columns = ops.mean(_cross_entropy(logits, positives, axis=0))
        return (rows + columns) / 2.0

    def by_row(self, similarities, positives, scale=1.0, bias=0.0):
        """Returns what each row adds, `(rows,)`, in the direction of rows."""
        logits = scale * similarities + bias
        return _cross_entropy(logits, ops.cast(positives, logits.dtype), axis=1) / 2.0

    def mean(self, values, num_positives):
        """Returns the loss of what rows and columns add, and their counts of positives."""
        return ops.mean(values)

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def _cross_entropy(logits, positives, axis):
    """Cross-entropy over one axis with evenly shared positives."""
    log_shares = ops.log_softmax(logits, axis=axis)
    return -ops.sum(positives * log_shares, axis=axis) / ops.sum(positives, axis=axis)
