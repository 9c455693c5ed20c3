import numpy as np

from rocmr_keras.evaluation.encoding.queries import encode
from rocmr_keras.evaluation.encoding.queries import encode_attacked
from rocmr_keras.metrics.directions import CROSS_MODAL
from rocmr_keras.metrics.directions import INTRA_MODAL
from rocmr_keras.metrics.directions import sides
from rocmr_keras.metrics.ranking import rank_both
from rocmr_keras.metrics.ranking import rank_matches
from rocmr_keras.metrics.relevance import Relevance


class Bench:
    """A model on a split, encoded clean, with the ground truth: what protocols run on.

    Args:
        model: A `DualEncoder` with a preprocessor.
        split: A `rocmr_keras.data.Split`.
        ground_truth: Dict from a direction to a list of int arrays, the positions of the
            right items of each query; directions that are not in it go by equal ids.
            Defaults to `None`.
        intra_modal: Bool, whether images also look for images, and texts for texts.
            Defaults to `False`.
        batch_size: Int. Defaults to `64`.
        verbose: `1` for progress bars, `0` for none. Defaults to `1`.

    Attributes:
        clean: `Embeddings` of the split.
        directions: List of the directions in which at least one query has a right item.

    Raises:
        ValueError: If the ground truth does not fit the split.
    """

    def __init__(
        self, model, split, ground_truth=None, intra_modal=False, batch_size=64, verbose=1
    ):
        self.model, self.split = model, split
        self.settings = {"batch_size": batch_size, "verbose": verbose}
        self.clean = encode(model, split, **self.settings)
        names = (*CROSS_MODAL, *INTRA_MODAL) if intra_modal else CROSS_MODAL
        _check_directions(ground_truth or {}, names)
        found = {name: self._relevance(name, ground_truth or {}) for name in names}
        self._ground_truth = {name: known for name, known in found.items() if len(known.counted)}
        self.directions = list(self._ground_truth)

    def embeddings(self, modality):
        """Returns the clean embeddings of `"images"` or `"texts"`."""
        return self.clean.images if modality == "images" else self.clean.texts

    def relevance(self, direction):
        """Returns the `Relevance` of a direction."""
        return self._ground_truth[direction]

    def attack(self, threat, modality, gallery, relevance):
        """Attacks what has a right item in the gallery, and encodes it; the rest stays clean.

        Args:
            threat: A `Threat` with an attack on the modality.
            modality: `"images"` or `"texts"`.
            gallery: Float array, the embeddings that the attack is optimised against.
            relevance: `Relevance` of the modality's items to the gallery.

        Returns:
            Tuple of embeddings, of all items of the modality, and the share of stalled
            gradients.
        """
        found = encode_attacked(
            self.model,
            self.split,
            modality,
            threat.attack_on(modality),
            gallery,
            threat.objective,
            indices=relevance.counted,
            relevance=relevance,
            keep_inputs=False,
            **self.settings,
        )
        embeddings = np.array(self.embeddings(modality))
        embeddings[relevance.counted] = found["embeddings"]
        return embeddings, found["stalled_share"]

    def rank(self, direction, queries=None, gallery=None, matches=None, only=None):
        """Returns the `Ranking` of a direction; what is not given is clean."""
        query_side, item_side = sides(direction)
        return rank_matches(
            self.embeddings(query_side) if queries is None else queries,
            self.embeddings(item_side) if gallery is None else gallery,
            self.relevance(direction),
            matches=matches,
            only=only,
        )

    def rank_both(self, images, texts):
        """Returns the `Ranking` of both cross-modal directions in a dict, from one product."""
        both = rank_both(images, texts, *(self.relevance(name) for name in CROSS_MODAL))
        return dict(zip(CROSS_MODAL, both, strict=True))

    def rank_clean(self, directions):
        """Returns the `Ranking` of each of some directions in a dict, nobody attacked."""
        is_both = set(CROSS_MODAL) <= set(directions)
        both = self.rank_both(self.clean.images, self.clean.texts) if is_both else {}
        return {name: both[name] if name in both else self.rank(name) for name in directions}

    def _relevance(self, direction, ground_truth):
        ids = {"images": self.clean.image_ids, "texts": self.clean.text_ids}
        query_ids, item_ids = (ids[side] for side in sides(direction))
        if direction not in ground_truth:
            is_intra = direction in INTRA_MODAL
            return Relevance.from_ids(query_ids, item_ids, exclude_self=is_intra)
        lists = ground_truth[direction]
        if len(lists) != len(query_ids):
            raise ValueError(
                f"`ground_truth[{direction!r}]` must have one list for each of the "
                f"{len(query_ids)} queries. Received: {len(lists)} lists. An empty list "
                "leaves a query out."
            )
        name = f"ground_truth[{direction!r}]"
        relevance = Relevance.from_lists(lists, len(item_ids), name)
        relevance.exclude_self = direction in INTRA_MODAL
        return relevance


def _check_directions(ground_truth, names):
    unknown = sorted(set(ground_truth) - set(names))
    if unknown:
        raise ValueError(
            f"`ground_truth` must be a dict whose keys are among {names}. Received: the "
            f"keys {unknown}. Set `intra_modal=True` for directions within a modality."
        )
