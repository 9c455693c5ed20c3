import keras

from rocmr_keras.evaluation.protocols.protocol import Protocol
from rocmr_keras.evaluation.protocols.protocol import Result
from rocmr_keras.metrics.directions import CROSS_MODAL
from rocmr_keras.metrics.directions import sides


@keras.saving.register_keras_serializable(package="rocmr_keras")
class Query(Protocol):
    """Only the query is attacked, the gallery is clean.

    A direction whose query modality has no attack is not reported. Unlike in `Gallery`, the
    attacker cannot touch what is stored.
    """

    name = "query"

    def run(self, encoded, threat):
        rankings, stalled = {}, {}
        for direction in encoded.directions:
            queries = sides(direction)[0]
            if threat.attack_on(queries) is None:
                continue
            found, share = encoded.attack(threat, queries, encoded.searched(direction))
            stalled[queries if direction in CROSS_MODAL else direction] = share
            rankings[direction] = encoded.rank(direction, queries=found)
        return Result(rankings, stalled)
