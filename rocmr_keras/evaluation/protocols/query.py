import keras

from rocmr_keras.evaluation.protocols.protocol import Protocol
from rocmr_keras.evaluation.protocols.protocol import Result
from rocmr_keras.metrics.directions import CROSS_MODAL
from rocmr_keras.metrics.directions import sides


@keras.saving.register_keras_serializable(package="rocmr_keras")
class Query(Protocol):
    """Attacks the query only; the gallery stays clean.

    Unlike in `Gallery`, the attacker cannot change stored items. A direction whose queries
    are not attacked is not reported. Of an attack on strings the report also has
    `text_changes`, how many characters and words differ.
    """

    name = "query"

    def run(self, encoded, threat):
        rankings, stalled, changes = {}, {}, {}
        for direction in encoded.directions:
            queries = sides(direction)[0]
            if threat.attack_on(queries) is None:
                continue
            found = encoded.find(threat, queries, encoded.searched(direction))
            # Else `image_to_image` would overwrite the share of `image_to_text`.
            stalled[queries if direction in CROSS_MODAL else direction] = found["stalled_share"]
            rankings[direction] = encoded.rank(direction, queries=found["embeddings"])
            if "text_changes" in found:
                changes[direction] = found["text_changes"]
        return Result(rankings, stalled, {"text_changes": changes} if changes else None)
