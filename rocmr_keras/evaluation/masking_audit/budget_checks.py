"""Checks that larger budgets are never weaker, and that the largest breaks the model."""

import math

from rocmr_keras.evaluation.masking_audit.judgement import LEVEL
from rocmr_keras.evaluation.masking_audit.judgement import fails_unless
from rocmr_keras.evaluation.masking_audit.judgement import not_weaker
from rocmr_keras.evaluation.masking_audit.probe import DIRECTION


def more_steps(probe):
    few = max(1, probe.budget.num_steps // 4)
    found = probe.attack(probe.pgd(num_steps=few))[0]
    what = f"{few} steps, then {probe.budget.num_steps}"
    return not_weaker(probe, probe.white_box["full"], found, what)


def more_restarts(probe):
    found = probe.attack(probe.pgd(num_restarts=3))[0]
    return not_weaker(probe, found, probe.white_box["full"], "1 restart, then 3")


def larger_epsilon(probe):
    found = [probe.white_box[name] for name in ("half", "full", "double")]
    steps = zip(found[1:], found[:-1])
    stronger, weaker = min(steps, key=lambda pair: pair[0].loss - pair[1].loss)
    return not_weaker(probe, stronger, weaker, "The smaller gain of two doublings of epsilon")


def huge_epsilon(probe):
    """With every pixel free another image would do: what is right above chance is unattacked."""
    relevance = probe.encoded.relevance(DIRECTION)
    chance = float((relevance.counts / relevance.num_items).mean())
    found = [runs["huge"].embeddings for runs in (probe.white_box, probe.by_margin)]
    survived = probe.is_right(found[0]) & probe.is_right(found[1])
    probability = _at_least(int(survived.sum()), len(survived), chance)
    explanation = (
        f"With an epsilon of 1, recall@1 is {survived.mean():.4f}; chance is {chance:.4f}. What is "
        "above chance was not attacked, whatever the epsilon."
    )
    return fails_unless(probability >= LEVEL, survived.mean(), explanation)


def _at_least(successes, count, chance):
    """The probability of so many or more successes in `count` trials."""
    fewer = range(successes)
    return 1.0 - sum(math.comb(count, k) * chance**k * (1.0 - chance) ** (count - k) for k in fewer)
