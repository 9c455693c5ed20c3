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

    Raises:
        ValueError: If it is neither.
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
