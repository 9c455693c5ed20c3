import numpy as np

from rocmr_keras.metrics.ranking import Ranking
from rocmr_keras.metrics.summary import damage
from rocmr_keras.metrics.summary import summary


def worst_case(report, ranks, attacks=None):
    """Counts a query as right only if it is right under every attack, and clean.

    The attacker chooses, query by query, what hurts most, or does nothing. So the figures
    are at most those of the strongest single attack, usually lower.

    Args:
        report: Dict, as `evaluate` returns it.
        ranks: Dict, what `evaluate(..., return_ranks=True)` returns beside it.
        attacks: List of names of attacks, all of one protocol; all of the report by
            default. Defaults to `None`.

    Returns:
        Dict like an entry of `report["attacks"]`: for each direction that an attack
        covers the figures of the worst ranks, `mean_recall`, `recall_drop`,
        `attack_success_rate` and `budget`, which names the `protocol` and the `attacks`.

    Raises:
        ValueError: If there is no attack, one is unknown, or the protocols differ.

    Example:

    ```python
    report, ranks = evaluate(model, split, {"pgd": pgd, "square": square}, return_ranks=True)
    worst_case(report, ranks)["image_to_text"]["recall_at_1"]
    ```
    """
    attacks = list(report["attacks"]) if attacks is None else list(attacks)
    protocol = _check(report, ranks, attacks)
    worst = {}
    for name in attacks:
        for direction, ranking in ranks[name].items():
            # To do nothing is a choice of the attacker too.
            known = worst.get(direction) or ranks["clean"][direction].take(ranking.queries)
            worst[direction] = worse(known, ranking)
    return {
        "budget": {"protocol": protocol, "attacks": attacks},
        **summary(worst),
        **damage(ranks["clean"], worst),
    }


def worse(first, second):
    """Returns the worse rank and precision of each query that both rankings have."""
    queries = np.intersect1d(first.queries, second.queries)
    first, second = first.take(queries), second.take(queries)
    return Ranking(
        queries,
        np.maximum(first.ranks, second.ranks),
        np.minimum(first.average_precision, second.average_precision),
    )


def _check(report, ranks, attacks):
    known = set(report["attacks"]) & set(ranks)
    if not attacks or not set(attacks) <= known:
        raise ValueError(
            f"`attacks` must name attacks of the report: {sorted(known)}. Received: "
            f"attacks={attacks}. Pass `ranks` as `evaluate(..., return_ranks=True)` gives them."
        )
    # Ranks of different protocols are of different galleries.
    protocols = sorted({report["attacks"][name]["budget"]["protocol"] for name in attacks})
    if len(protocols) > 1:
        raise ValueError(
            "A worst case is over the attacks of one protocol. Received: attacks of "
            f"{protocols}. Choose `attacks` of one."
        )
    return protocols[0]
