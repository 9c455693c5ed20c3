from rocmr_keras.losses.hardest_triplet import HardestTriplet
from rocmr_keras.losses.pairwise_sigmoid import PairwiseSigmoid
from rocmr_keras.losses.symmetric_softmax import SymmetricSoftmax

_LOSSES = {
    "symmetric_softmax": SymmetricSoftmax,
    "pairwise_sigmoid": PairwiseSigmoid,
    "hardest_triplet": HardestTriplet,
}


def get(identifier):
    """Returns a retrieval loss.

    Args:
        identifier: A name (`"symmetric_softmax"`, `"pairwise_sigmoid"`,
            `"hardest_triplet"`), or a callable `(similarities, positives, scale,
            bias) -> scalar`, which is returned as it is.

    Returns:
        A callable.

    With `RoCMR(chunk_size=)` those three are computed some rows at a time; any other callable, one
    that inherits from them too, gets the whole matrix.

    Raises:
        ValueError: If it is neither.

    Example:

    A loss of your own, of cosines and of who belongs to whom, both `(B, B)`, rows images; the
    decorator lets a trainer that has it be saved:

    ```python
    @keras.saving.register_keras_serializable(package="mine")
    def logistic_ranking(similarities, positives, scale, bias):
        positives = keras.ops.cast(positives, "float32")
        right = keras.ops.sum(positives * similarities, axis=1, keepdims=True)
        right /= keras.ops.sum(positives, axis=1, keepdims=True)
        wrong = keras.ops.softplus(scale * (similarities - right)) * (1 - positives)
        return keras.ops.mean(wrong)
    ```
    """
    if callable(identifier):
        return identifier
    if isinstance(identifier, str) and identifier in _LOSSES:
        return _LOSSES[identifier]()
    raise ValueError(
        f"`loss` must be one of {sorted(_LOSSES)} or a callable. "
        f"Received: loss={identifier!r}. A callable takes "
        "`(similarities, positives, scale, bias)` and returns a scalar."
    )


def goes_by_row(loss):
    """Says whether `by_row` and `mean` of a loss are all of it: a subclass may have changed it."""
    return type(loss) in _LOSSES.values()
