import keras
import numpy as np

from rocmr_keras.evaluation.encoding.searched_gallery import SearchedGallery
from rocmr_keras.evaluation.protocols.protocol import Protocol
from rocmr_keras.evaluation.protocols.protocol import Result
from rocmr_keras.metrics.directions import CROSS_MODAL
from rocmr_keras.metrics.directions import sides
from rocmr_keras.metrics.hubness import admit
from rocmr_keras.metrics.hubness import hub_share
from rocmr_keras.metrics.hubness import skewness
from rocmr_keras.metrics.relevance import Relevance
from rocmr_keras.metrics.summary import summary


@keras.saving.register_keras_serializable(package="rocmr_keras")
class Inserted(Protocol):
    """Adds adversarial hubs to a clean gallery, items that as many queries as possible find.

    A hub starts from a random item of the gallery and is optimised to be similar to a random
    half of the queries. All figures are measured on the other half, which the attacker has
    not seen. An image attack makes hubs for `text_to_image`, a text attack for
    `image_to_text`. Besides recall the report has `hubs`: the share of queries whose first
    result is a hub, the skewness of the k-occurrence, how often an item is among the first
    `k` results, and what the gate of `rocmr_keras.metrics.hubness.admit` would do with the
    held-out queries as sentinels: the shares of hubs and of honest items refused.

    Args:
        num_hubs: Integer, items to add. Defaults to `1`.
        k: Integer, the first results in which occurrences are counted for the skewness.
            Defaults to `10`.
        seed: Integer, of the halves and of the items that hubs start from. Defaults to `0`.

    Raises:
        ValueError: If a number is not a positive integer, there are more hubs than items, or
            the objective is none that has a target.

    Reference:
        - [Zhang et al., 2024](https://arxiv.org/abs/2412.14113)
        - [Radovanovic et al., 2010](https://jmlr.org/papers/v11/radovanovic10a.html),
          hubs and the k-occurrence
    """

    name = "inserted"
    default_objective = "target_similarity"

    def __init__(self, num_hubs=1, k=10, seed=0):
        for name, value in (("num_hubs", num_hubs), ("k", k)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"`{name}` must be a positive integer. Received: {name}={value!r}. "
                    "One hub is often enough, and `k=10` is usual."
                )
        self.num_hubs = num_hubs
        self.k = k
        self.seed = seed

    def check(self, image_attack, text_attack, objective):
        super().check(image_attack, text_attack, objective)
        if not callable(objective) and objective != self.default_objective:
            raise ValueError(
                "Protocol 'inserted' makes items that are found: it needs the objective "
                f"'target_similarity' or a callable. Received: objective={objective!r}. "
                "Leave `objective` out."
            )

    def run(self, encoded, threat):
        rankings, stalled, hubs, clean = {}, {}, {}, {}
        for direction in (name for name in CROSS_MODAL if name in encoded.directions):
            modality = sides(direction)[1]
            if threat.attack_on(modality) is None:
                continue
            seen, held_out = self._halves(encoded.relevance(direction).counted)
            found, stalled[modality] = self._make_hubs(encoded, threat, direction, seen)
            gallery = np.concatenate([encoded.embeddings(modality), found])
            clean[direction] = encoded.rank(direction, only=held_out)
            rankings[direction] = encoded.rank(direction, gallery=gallery, only=held_out)
            hubs[direction] = self._hub_figures(encoded, direction, held_out, found)
        return Result(rankings, stalled, {"hubs": hubs, "clean": summary(clean)})

    def _halves(self, queries):
        """Returns the queries that hubs are made for, and the others."""
        if len(queries) < 2:
            raise ValueError(
                "Protocol 'inserted' needs two queries, one to optimise for and one to "
                f"measure. Received: {len(queries)}. Take a larger split."
            )
        # Not the first half: a split may list its queries in a meaningful order.
        drawn = np.random.default_rng(self.seed).permutation(queries)
        middle = len(drawn) // 2
        return np.sort(drawn[:middle]), np.sort(drawn[middle:])

    def _make_hubs(self, encoded, threat, direction, seen):
        queries, items = (encoded.embeddings(side) for side in sides(direction))
        if self.num_hubs > len(items):
            raise ValueError(
                "Each hub starts from another item of the gallery. Received: "
                f"num_hubs={self.num_hubs} for {len(items)} items. Make fewer hubs."
            )
        # Not the generator of the halves, which then do not depend on `num_hubs`.
        rng = np.random.default_rng(self.seed)
        starts = np.sort(rng.choice(len(items), self.num_hubs, replace=False))
        # An item that aims at no query is not attacked.
        wanted = [np.zeros(0, np.int64)] * len(items)
        for start in starts:
            wanted[start] = np.arange(len(seen))
        aims = Relevance.from_lists(wanted, len(seen))
        searched = SearchedGallery(queries[seen], aims)
        found, share = encoded.attack(threat, sides(direction)[1], searched)
        return found[starts], share

    def _hub_figures(self, encoded, direction, held_out, hubs):
        queries, items = (encoded.embeddings(side) for side in sides(direction))
        queries = queries[held_out]
        k = min(self.k, len(items) - 1)
        gate = admit(hubs, items, queries, k) if k else None
        return {
            "hubs_refused": float(gate["refused"].mean()) if gate else None,
            "items_refused": float(gate["gallery_refused"].mean()) if gate else None,
            "hub_share": hub_share(queries, items, hubs),
            "skewness_before": skewness(queries, items, self.k),
            "skewness_after": skewness(queries, np.concatenate([items, hubs]), self.k),
        }

    def get_config(self):
        return {"num_hubs": self.num_hubs, "k": self.k, "seed": self.seed}
