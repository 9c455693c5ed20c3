import contextlib
import copy

import numpy as np

from rocmr_keras.evaluation.arguments import check_split
from rocmr_keras.evaluation.arguments import evaluated_model
from rocmr_keras.evaluation.encoding.embeddings import encode
from rocmr_keras.evaluation.encoding.embeddings import pack_for
from rocmr_keras.evaluation.encoding.kept_encoders import kept_encoders
from rocmr_keras.evaluation.encoding.queries import QueryAttacker
from rocmr_keras.evaluation.encoding.queries import compiled_key
from rocmr_keras.evaluation.encoding.queries import encode_attacked
from rocmr_keras.evaluation.encoding.queries import make_encoder
from rocmr_keras.evaluation.encoding.queries import start_anew
from rocmr_keras.evaluation.encoding.searched_gallery import SearchedGallery
from rocmr_keras.metrics.directions import CROSS_MODAL
from rocmr_keras.metrics.directions import INTRA_MODAL
from rocmr_keras.metrics.directions import sides
from rocmr_keras.metrics.duplicates import duplicate_captions
from rocmr_keras.metrics.duplicates import merged_relevance
from rocmr_keras.metrics.ranking import rank_both
from rocmr_keras.metrics.ranking import rank_matches
from rocmr_keras.metrics.relevance import Relevance


class EncodedSplit:
    """A split with its clean embeddings and ground truth, and the model that encoded it.

    Every evaluation starts from one, so that the split is encoded once and then attacked and
    ranked as often as needed. `Embeddings` holds arrays only.

    Args:
        model: A `DualEncoder` with a preprocessor, or the trainer around one.
        split: A `rocmr_keras.data.Split`.
        ground_truth: Dict from a direction to a list of integer arrays, the positions of the
            right items of each query; directions that are not in it go by equal ids, or by
            equal captions too where the split merges them. Defaults to `None`.
        intra_modal: Boolean, whether images also look for images, and texts for texts.
            Defaults to `False`.
        batch_size: Integer. Defaults to `64`.
        verbose: `1` for progress bars, `0` for none. Defaults to `1`.

    Attributes:
        clean: `Embeddings` of the split.
        directions: List of the directions in which at least one query has a right item.

    Raises:
        ValueError: If the model has no preprocessor, the split is none or empty, the batch size
            is not positive, or the ground truth does not fit the split.
    """

    def __init__(
        self, model, split, ground_truth=None, intra_modal=False, batch_size=64, verbose=1
    ):
        model = evaluated_model(model)
        check_split(split, batch_size)
        self.model, self.split = model, pack_for(model, split, verbose)
        self.batch_size, self.verbose = batch_size, verbose
        self.clean = encode(model, self.split, batch_size, verbose)
        names = (*CROSS_MODAL, *INTRA_MODAL) if intra_modal else CROSS_MODAL
        _check_directions(ground_truth or {}, names)
        self._merged = self._merge() if getattr(split, "merges_duplicates", False) else {}
        found = {name: self._find_relevance(name, ground_truth or {}) for name in names}
        self._relevance = {name: known for name, known in found.items() if len(known.counted)}
        self.directions = list(self._relevance)
        self._encoders = kept_encoders(model)

    def batched(self, batch_size):
        """Returns the same with another batch size; nothing is encoded again."""
        # Shallow: the embeddings are shared.
        encoded = copy.copy(self)
        encoded.batch_size = batch_size
        return encoded

    def describe(self):
        """Returns the parts of a report that say what is searched.

        Returns:
            Dict of `counts`, the sizes of the galleries, with `merged_captions` where the split
            merges duplicates; and `duplicate_captions`, see `evaluate`.
        """
        known = {name: self._relevance[name] for name in CROSS_MODAL if name in self._relevance}
        found = duplicate_captions(self.split.captions, self.clean.text_ids, known)
        counts = {"images": len(self.clean.images), "texts": len(self.clean.texts)}
        merged = {"merged_captions": found["count"]} if self._merged else {}
        return {"counts": {**counts, **merged}, "duplicate_captions": found}

    def embeddings(self, modality):
        """Returns the clean embeddings of `"images"` or `"texts"`."""
        return self.clean.images if modality == "images" else self.clean.texts

    def relevance(self, direction):
        """Returns the `Relevance` of a direction."""
        return self._relevance[direction]

    def searched(self, direction):
        """Returns the clean `SearchedGallery` of a direction."""
        return SearchedGallery(self.embeddings(sides(direction)[1]), self.relevance(direction))

    def attack(self, threat, modality, searched):
        """Attacks the queries that have a right item, and encodes them; the rest stays clean.

        Args:
            threat: A `Threat` with an attack on the modality.
            modality: `"images"` or `"texts"`, which side of the split is attacked.
            searched: The `SearchedGallery` that the attack is optimised against.

        Returns:
            Tuple of the embeddings of all items of the modality, and the share of stalled
            gradients.
        """
        found = self.find(threat, modality, searched)
        return found["embeddings"], found["stalled_share"]

    def find(self, threat, modality, searched):
        """Does what `attack` does.

        Returns:
            Dict with `embeddings` of all items of the modality, `stalled_share` and, of an
            attack on strings, `text_changes`.
        """
        attacked = searched.relevance.counted
        found = encode_attacked(
            self,
            modality,
            threat.attack_on(modality),
            threat.objective,
            searched,
            attacked,
            keep_inputs=False,
        )
        # A copy: the clean embeddings serve the next attack.
        embeddings = np.array(self.embeddings(modality))
        embeddings[attacked] = found["embeddings"]
        known = {name: found[name] for name in ("stalled_share", "text_changes") if name in found}
        return {"embeddings": embeddings, **known}

    @contextlib.contextmanager
    def attacker(self, modality, attack, objective, searched):
        """Lends a `QueryAttacker` with an attack that has run nothing yet.

        Attacks that differ in budget, seed and first rank alone share a compiled step, also with
        later evaluations of the model.
        """
        parts = modality, attack, objective, searched
        climbed = getattr(objective, "compiled_as", objective)
        key = compiled_key(attack, modality, climbed, searched.embeddings.shape, self.batch_size)
        with self._encoders.borrow(key, lambda: make_encoder(self, *parts)) as encoder:
            start_anew(encoder, attack, searched)
            yield QueryAttacker(self, encoder, searched.relevance, objective)

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
        # One product for both directions takes half the time of two.
        is_both = set(CROSS_MODAL) <= set(directions)
        both = self.rank_both(self.clean.images, self.clean.texts) if is_both else {}
        return {name: both[name] if name in both else self.rank(name) for name in directions}

    def _merge(self):
        return merged_relevance(self.split.captions, self.clean.text_ids, self.clean.image_ids)

    def _find_relevance(self, direction, ground_truth):
        if direction in self._merged and direction not in ground_truth:
            return self._merged[direction]
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
        # A list says nothing of the query itself, which would always be found first.
        relevance.exclude_self = direction in INTRA_MODAL
        return relevance


def _check_directions(ground_truth, names):
    unknown = sorted(set(ground_truth) - set(names))
    if unknown:
        raise ValueError(
            f"`ground_truth` must be a dict whose keys are among {names}. Received: the "
            f"keys {unknown}. Set `intra_modal=True` for directions within a modality."
        )
