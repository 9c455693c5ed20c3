"""Runs the stages of AutoAttack one after the other and keeps the worst rank of each query."""

import time

import numpy as np

from rocmr_keras.evaluation.encoding.searched_gallery import SearchedGallery
from rocmr_keras.evaluation.ensemble.stages import RANKS
from rocmr_keras.evaluation.worst_ranks import worse
from rocmr_keras.metrics.directions import CROSS_MODAL
from rocmr_keras.metrics.directions import sides
from rocmr_keras.metrics.ranking import Ranking

_MOST_LISTED = 10


class StagedRanking(Ranking):
    """The worst `Ranking` over several attacks, and which of them did it.

    Args:
        ranking: A `Ranking`.
        stages: Array of strings `(n,)`, empty where no attack did any harm.
    """

    def __init__(self, ranking, stages):
        super().__init__(ranking.queries, ranking.ranks, ranking.average_precision)
        self.stages = stages


class Ensemble:
    """The stages of one protocol, of which each meets the queries that those before left.

    Args:
        encoded: An `EncodedSplit`.
        clean: Dict from a direction to the clean `Ranking`.
        protocol: String, `"query"` or `"both"`.

    Attributes:
        worst: Dict from each direction that was attacked to a `StagedRanking`.
        counts: List of dicts, what each stage did.
        seconds: Dict from the name of each stage to its `wall` and `cpu` seconds.
    """

    def __init__(self, encoded, clean, protocol):
        self.encoded = encoded
        self.clean = clean
        self.attack = self._attack_queries if protocol == "query" else self._attack_both
        self.protocol = protocol
        self.worst = {}
        self.counts = []
        self.seconds = {}

    def run(self, stages):
        """Runs a list of `Stage`."""
        for stage in stages:
            if self.encoded.verbose:
                print(f"{self.protocol}, {stage.name}:")
            wall, cpu = time.perf_counter(), time.process_time()
            # Both directions of a stage see the state before it.
            for direction, ranking, met in list(self.attack(stage)):
                self._take_in(stage, direction, ranking, met)
            self.seconds[stage.name] = {
                "wall": round(time.perf_counter() - wall, 2),
                "cpu": round(time.process_time() - cpu, 2),
            }

    def furthest(self):
        """Lists by direction the queries that came first when clean and come last now."""
        return {name: _furthest(self.clean[name], worst) for name, worst in self.worst.items()}

    def _before(self, direction):
        return self.worst.get(direction, self.clean[direction])

    def _take_in(self, stage, direction, ranking, met):
        before = self._before(direction)
        after = worse(before, ranking)
        known = getattr(before, "stages", "")
        # Of equals the earlier stage keeps the query: it has broken it first.
        stages = np.where(after.ranks > before.ranks, stage.name, known)
        self.worst[direction] = StagedRanking(after, stages)
        lost = {str(k): int(((before.ranks <= k) & (after.ranks > k)).sum()) for k in RANKS}
        self.counts.append(
            {
                "attack": stage.name,
                "direction": direction,
                "k": stage.ks,
                "queries": met,
                "broken": lost[str(RANKS[-1])],
                "lost": lost,
            }
        )

    def _met(self, stage, direction):
        """Returns the queries that a stage is run on."""
        before = self._before(direction)
        return before.queries[stage.meets(before.ranks)]

    def _attack_queries(self, stage):
        encoded = self.encoded
        for direction in CROSS_MODAL:
            queries, items = sides(direction)
            if stage.threat.attack_on(queries) is None:
                continue
            met = self._met(stage, direction)
            if not met.size:
                yield direction, self._before(direction), 0
                continue
            relevance = encoded.relevance(direction).only(met)
            searched = SearchedGallery(encoded.embeddings(items), relevance)
            found, _ = encoded.attack(stage.threat, queries, searched)
            yield direction, encoded.rank(direction, queries=found), met.size

    def _attack_both(self, stage):
        # Without a schedule all queries search one attacked gallery: none can be left out.
        met = {direction: self.clean[direction].queries for direction in CROSS_MODAL}
        options = {}
        if stage.threat.protocol.schedule is not None:
            met = {direction: self._met(stage, direction) for direction in CROSS_MODAL}
            options = {"ids": self._ids(met), "keep_seen": True}
            if not options["ids"].size:
                yield from ((direction, self._before(direction), 0) for direction in CROSS_MODAL)
                return
        result = stage.threat.protocol.run(self.encoded, stage.threat, **options)
        for direction, ranking in result.rankings.items():
            yield direction, ranking, met[direction].size

    def _ids(self, met):
        """Returns the ids of which an image or a caption is met."""
        clean = self.encoded.clean
        images = clean.image_ids[met["image_to_text"]]
        return np.union1d(images, clean.text_ids[met["text_to_image"]])


def _furthest(clean, worst):
    fallen = np.flatnonzero((clean.ranks == 1) & (worst.ranks > 1))
    # Stable, or equal ranks would be listed in another order on another machine.
    order = fallen[np.argsort(-worst.ranks[fallen], kind="stable")][:_MOST_LISTED]
    return [
        {
            "query": int(worst.queries[place]),
            "rank": int(worst.ranks[place]),
            "stage": str(worst.stages[place]),
        }
        for place in order
    ]
