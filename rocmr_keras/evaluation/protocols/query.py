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

    def run(self, bench, threat):
        rankings, stalled = {}, {}
        for direction in bench.directions:
            queries, items = sides(direction)
            if threat.attack_on(queries) is None:
                continue
            found, share = bench.attack(
                threat, queries, bench.embeddings(items), bench.relevance(direction)
            )
            stalled[queries if direction in CROSS_MODAL else direction] = share
            rankings[direction] = bench.rank(direction, queries=found)
        return Result(rankings, stalled)
