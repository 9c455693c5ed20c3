from rocmr_keras.losses.hardest_triplet import HardestTriplet
from rocmr_keras.losses.loss import get
from rocmr_keras.losses.loss import goes_by_row
from rocmr_keras.losses.pairwise_sigmoid import PairwiseSigmoid
from rocmr_keras.losses.symmetric_softmax import SymmetricSoftmax

__all__ = ["HardestTriplet", "PairwiseSigmoid", "SymmetricSoftmax", "get", "goes_by_row"]
