import itertools

import numpy as np

# A difference below this share of what the attack gains is none: on a hundred queries it moves
# recall by two points at most, half of the standard error of a recall.
SLACK = 0.02
# The probability of a difference by chance. Ten checks of an honest model whose rivals were just
# as strong would together raise a false alarm in one audit of ten; they are weaker as a rule.
LEVEL = 0.01
# What is more probable by chance than this is no reason to doubt.
_DOUBT = 0.1
# So many pairs have 4,096 sign patterns, which are all tried; of more, as many are drawn.
_ALL_PATTERNS = 12


def judge(verdict, figure, explanation):
    """Returns the result of one check as plain values."""
    return {"verdict": verdict, "figure": float(figure), "explanation": explanation}


def fails_unless(passed, figure, explanation):
    """Returns the result of a check that either passes or fails."""
    return judge("pass" if passed else "fail", figure, explanation)


def conclude(results):
    """Returns the verdict of an audit and its reason.

    Args:
        results: Dict from the name of a check to its result.

    Returns:
        Dict of `verdict` (`"masked"`, `"caution"` or `"sound"`) and `reason`, a string.
    """
    for worst, verdict in (("fail", "masked"), ("caution", "caution")):
        found = [name for name, result in results.items() if result["verdict"] == worst]
        if found:
            also = f" Likewise {', '.join(found[1:])}." if len(found) > 1 else ""
            reason = f"{found[0]}. {results[found[0]]['explanation']}{also}"
            return {"verdict": verdict, "reason": reason}
    reason = f"No sign of hidden gradients in {len(results)} checks, which proves nothing."
    return {"verdict": "sound", "reason": reason}


def chance(differences):
    """The probability that paired differences have such a mean, or a higher one, by chance.

    If neither side of the pairs is better, the sign of each difference could as well be the
    other. The test assumes nothing else, so it holds for few queries and for any loss.

    Args:
        differences: Float array `(pairs,)`.

    Returns:
        Float in (0, 1]. Fewer than seven pairs never come below 0.01.
    """
    differences = np.asarray(differences, "float64")
    count = len(differences)
    if count <= _ALL_PATTERNS:
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=count)))
    else:
        signs = np.random.default_rng(0).choice((1.0, -1.0), (2**_ALL_PATTERNS, count))
        # The pattern that was seen is one of them: the probability is never zero.
        signs[0] = 1.0
    means = signs @ differences / count
    # A mean equals itself whatever the order of the sum.
    return float((means >= np.mean(differences) - 1e-9).mean())


def compare(lead, gain, figure, explanation):
    """A verdict on losses of an attack that should not lead.

    Args:
        lead: Float array `(queries,)`, by how much it leads on each query.
        gain: Float, what the attack adds to the mean loss.
        figure: Float.
        explanation: String.

    Returns:
        Verdict: `"fail"` if the lead is larger than `SLACK` of the gain and less than 1 %
        probable by chance, `"caution"` if less than 10 %.
    """
    # The last summand is for an attack that has no effect at all: it leaves rounding only.
    if lead.mean() <= SLACK * abs(gain) + 1e-4:
        return judge("pass", figure, explanation)
    probability = chance(lead)
    if probability >= _DOUBT:
        return judge("pass", figure, explanation)
    if probability < LEVEL:
        return judge("fail", figure, f"{explanation} By chance: {100 * probability:.2g} %.")
    said = f"It may be chance ({100 * probability:.2g} %): audit more images."
    return judge("caution", figure, f"{explanation} {said}")


def not_weaker(probe, stronger, weaker, what):
    """A verdict on losses that may not fall.

    Args:
        probe: A `Probe`.
        stronger: `Found` of what should be the stronger attack.
        weaker: `Found` of the other.
        what: String, what was compared.

    Returns:
        Verdict, whose figure is the mean of the first losses minus the second.
    """
    fallen = weaker.losses - stronger.losses
    explanation = (
        f"{what}: mean loss {weaker.loss:.4f} becomes {stronger.loss:.4f} (clean "
        f"{probe.clean_loss:.4f}). A loss that falls means gradients that do not point uphill."
    )
    return compare(fallen, probe.gain, -fallen.mean(), explanation)


def beats(probe, margins, what):
    """A verdict on the white-box attacks against one that needs no gradient of the model.

    They are compared by the margin: no temperature changes it, and its sign tells recall@1.

    Args:
        probe: A `Probe`.
        margins: Float array `(images,)`, the margin of each query under the other attack.
        what: String, the other attack.

    Returns:
        Verdict, whose figure is the mean white-box margin minus the other.
    """
    lead, clean = margins - probe.strongest, probe.clean_margin
    explanation = (
        f"{what} reaches a mean margin of {margins.mean():.4f}, the white-box attacks "
        f"{probe.strongest.mean():.4f} (clean {clean:.4f}). Where less knowledge does more harm, "
        "gradients are hidden."
    )
    return compare(lead, margins.mean() - clean, -lead.mean(), explanation)
