import keras

from rocmr_keras.evaluation.encoding.searched_gallery import SearchedGallery
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

    def run(self, encoded, threat):
        rankings, stalled = {}, {}
        for direction in encoded.directions:
            queries, items = sides(direction)
            if threat.attack_on(items) is None:
                continue
            sought_by = encoded.relevance(direction).transpose()
            searched = SearchedGallery(encoded.embeddings(queries), sought_by)
            found, share = encoded.attack(threat, items, searched)
            stalled[items if direction in CROSS_MODAL else direction] = share
            rankings[direction] = encoded.rank(direction, matches=found)
        return Result(rankings, stalled)
