"""Summarises rankings as the figures of a report."""

from rocmr_keras.metrics.directions import CROSS_MODAL
from rocmr_keras.metrics.ranks import summarize


def summary(rankings):
    """Returns the figures of each direction, and the mean of all cross-modal recalls.

    Args:
        rankings: Dict from a direction to a `Ranking`.

    Returns:
        Dict from a direction to a dict of figures, and `mean_recall`, absent if no
        direction crosses modalities.
    """
    figures = {
        name: {
            **summarize(ranking.ranks),
            "map_at_r": float(ranking.average_precision.mean()),
        }
        for name, ranking in rankings.items()
    }
    crossing = [figures[name] for name in CROSS_MODAL if name in figures]
    recalls = [run[f"recall_at_{k}"] for run in crossing for k in (1, 5, 10)]
    if recalls:
        return {**figures, "mean_recall": sum(recalls) / len(recalls)}
    return figures


def damage(clean, attacked):
    """Returns what an attack has cost, in the two ways that papers count it.

    Args:
        clean: Dict from a direction to a `Ranking`.
        attacked: The same, for some of the directions and perhaps some of the queries;
            these are compared with themselves.

    Returns:
        Dict with `recall_drop` (clean minus attacked recall@1) and
        `attack_success_rate` (share of the queries right when clean that are wrong under
        attack, `None` where none was right), each a dict by direction.
    """
    before = {name: clean[name].take(ranking.queries).ranks for name, ranking in attacked.items()}
    after = {name: ranking.ranks for name, ranking in attacked.items()}
    return {
        "recall_drop": {name: _right(before[name]) - _right(after[name]) for name in after},
        "attack_success_rate": {name: _success(before[name], after[name]) for name in after},
    }


def _right(ranks):
    return float((ranks == 1).mean())


def _success(clean, attacked):
    right = clean == 1
    return float((attacked[right] > 1).mean()) if right.any() else None
