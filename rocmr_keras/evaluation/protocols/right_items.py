import keras

from rocmr_keras.evaluation.encoding.searched_gallery import SearchedGallery
from rocmr_keras.evaluation.protocols.protocol import Protocol
from rocmr_keras.evaluation.protocols.protocol import Result
from rocmr_keras.metrics.directions import CROSS_MODAL
from rocmr_keras.metrics.directions import sides


@keras.saving.register_keras_serializable(package="rocmr_keras")
class RightItems(Protocol):
    """Attacks the right items of a query; the query and all wrong items stay clean.

    An item is attacked once, against all queries for which it is right (an image against
    all its captions). Then each query ranks its own attacked items among clean wrong items,
    since wrong items that were attacked too would make room for the right ones. An image
    attack concerns `text_to_image`, a text attack `image_to_text`.
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
            # Else `image_to_image` would overwrite the share of `text_to_image`.
            stalled[items if direction in CROSS_MODAL else direction] = share
            rankings[direction] = encoded.rank(direction, matches=found)
        return Result(rankings, stalled)
