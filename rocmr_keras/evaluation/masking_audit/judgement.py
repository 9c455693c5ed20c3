import numpy as np

# A mean loss lower by less than this share of what the attack gains is chance, not a pattern.
SLACK = 0.02
# Nor is one that is lower by less than so many standard errors of the mean over the queries.
STANDARD_ERRORS = 2.0


def verdict(passed, figure, explanation):
    """Returns the result of one check as plain values."""
    return {
        "verdict": "pass" if passed else "fail",
        "figure": float(figure),
        "explanation": explanation,
    }


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
    gained = stronger.losses - weaker.losses
    error = gained.std(ddof=1) / np.sqrt(len(gained)) if len(gained) > 1 else 0.0
    slack = SLACK * abs(probe.gain) + STANDARD_ERRORS * error + 1e-4
    explanation = (
        f"{what}: mean loss {weaker.loss:.4f} becomes {stronger.loss:.4f} (clean "
        f"{probe.clean_loss:.4f}, chance {error:.4f}). A loss that falls means gradients that do "
        "not point uphill."
    )
    return verdict(gained.mean() >= -slack, gained.mean(), explanation)


def beats(probe, other, what):
    """A verdict on the white-box attack against one that needs no gradient of the model.

    Args:
        probe: A `Probe`.
        other: Float, the mean loss of the other attack.
        what: String, the other attack.

    Returns:
        Verdict, whose figure is the white-box loss minus the other.
    """
    white_box = probe.white_box["full"].loss
    # The last summand is for a rival that has no effect at all: it leaves rounding only.
    slack = SLACK * abs(other - probe.clean_loss) + 1e-4
    explanation = (
        f"{what} reaches a mean loss of {other:.4f}, the white-box attack {white_box:.4f} (clean "
        f"{probe.clean_loss:.4f}). Where less knowledge does more harm, gradients are hidden."
    )
    return verdict(white_box >= other - slack, white_box - other, explanation)
