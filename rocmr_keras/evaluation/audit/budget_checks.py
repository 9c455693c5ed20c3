"""A larger budget of any kind is never weaker, and the largest leaves nothing."""

from rocmr_keras.evaluation.audit.probe import DIRECTION
from rocmr_keras.evaluation.audit.verdict import not_weaker
from rocmr_keras.evaluation.audit.verdict import verdict


def more_steps(probe):
    few = max(1, probe.num_steps // 4)
    found = probe.attack(probe.pgd(num_steps=few))[0]
    what = f"{few} steps, then {probe.num_steps}"
    return not_weaker(probe, probe.white_box["full"].loss, found.loss, what)


def more_restarts(probe):
    found = probe.attack(probe.pgd(num_restarts=3))[0]
    return not_weaker(probe, found.loss, probe.white_box["full"].loss, "1 restart, then 3")


def larger_epsilon(probe):
    losses = [probe.white_box[name].loss for name in ("half", "full", "double")]
    steps = zip(losses[1:], losses[:-1])
    stronger, weaker = min(steps, key=lambda pair: pair[0] - pair[1])
    return not_weaker(probe, stronger, weaker, "The smaller gain of two doublings of epsilon")


def huge_epsilon(probe):
    """With every pixel free, the query is lost: better than chance is a fault of the attack."""
    relevance = probe.bench.relevance(DIRECTION)
    chance = float((relevance.counts / relevance.num_items).mean())
    recall = probe.recall_at_1(probe.white_box["huge"].embeddings)
    explanation = (
        f"With an epsilon of 1, recall@1 is {recall:.4f}; chance is {chance:.4f}. What is above "
        "chance was not attacked, whatever the epsilon."
    )
    return verdict(recall <= chance, recall, explanation)
