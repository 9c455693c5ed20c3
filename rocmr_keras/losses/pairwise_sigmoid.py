import keras
from keras import ops


@keras.saving.register_keras_serializable(package="rocmr_keras")
class PairwiseSigmoid:
    """SigLIP's loss: binary classification of each pair as match or no match.

    Unlike `SymmetricSoftmax` it does not normalise over the batch, and several positives
    of an item do not share a target. Use it with the learnt bias of
    `DualEncoder(use_logit_bias=True)`, since nearly all pairs are negatives.

    Call arguments:
        similarities: Float tensor `(rows, columns)`, cosine similarities.
        positives: Boolean tensor `(rows, columns)`.
        scale: Scalar, the inverse temperature. Defaults to `1.0`.
        bias: Scalar added to the logits. Defaults to `0.0`.

    Returns:
        Scalar float tensor: the sum over pairs, divided by the number of rows.

    Reference:
        - [Zhai et al., 2023](https://arxiv.org/abs/2303.15343), SigLIP
    """

    def __call__(self, similarities, positives, scale=1.0, bias=0.0):
        return ops.mean(2.0 * self.by_row(similarities, positives, scale, bias))

    def by_row(self, similarities, positives, scale=1.0, bias=0.0):
        """Returns what each row adds, `(rows,)`, in the direction of rows."""
        logits = scale * similarities + bias
        signs = ops.where(positives, 1.0, -1.0)
        # Each pair is in a row and in a column.
        return ops.sum(ops.softplus(-signs * logits), axis=1) / 2.0

    def mean(self, values, num_positives):
        """Returns the loss of what rows and columns add, and their counts of positives."""
        return ops.mean(values)

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)
