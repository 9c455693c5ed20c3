import keras

from rocmr_keras.evaluation.protocols.protocol import Protocol
from rocmr_keras.evaluation.protocols.protocol import Result
from rocmr_keras.metrics.directions import CROSS_MODAL
from rocmr_keras.metrics.directions import sides


@keras.saving.register_keras_serializable(package="rocmr_keras")
class Gallery(Protocol):
    """The right items of a query are attacked; the query and all wrong items are clean.

    An item is attacked once, against all queries that look for it as a set (an image
    against all its captions). Then each query ranks its own attacked items among the clean
    rest of the gallery: attacked distractors, which would move out of the way, are not
    mixed in. An image attack serves `text_to_image`, a text attack `image_to_text`.
    """

    name = "gallery"
    default_objective = "similarity"

    def run(self, bench, threat):
        rankings, stalled = {}, {}
        for direction in bench.directions:
            queries, items = sides(direction)
            if threat.attack_on(items) is None:
                continue
            sought_by = bench.relevance(direction).transpose()
            found, share = bench.attack(threat, items, bench.embeddings(queries), sought_by)
            stalled[items if direction in CROSS_MODAL else direction] = share
            rankings[direction] = bench.rank(direction, matches=found)
        return Result(rankings, stalled)
