"""How reports for people write directions, shares and the verdict of an audit."""

ARROWS = {
    "image_to_text": "image→text",
    "text_to_image": "text→image",
    "image_to_image": "image→image",
    "text_to_text": "text→text",
}


def audit_line(audit):
    """Writes the verdict of an audit and its reason in a sentence or two."""
    if "verdict" not in audit:
        return "audit: no verdict, for it was made by an earlier version. Run it again."
    # The names of checks and verdicts are those of the report; people read words.
    check, _, rest = audit["reason"].partition(". ")
    reason = f"{check.replace('_', ' ')}. {rest}" if rest else audit["reason"]
    return f"audit: {audit['verdict']}. {reason}"


def changed_in_captions(budget):
    """Writes what an AutoAttack could do to captions, such as "1 word, edit or character".

    Args:
        budget: Dict, that of an attack in a report.

    Returns:
        String, or `None` where it is of no AutoAttack, or captions were left alone.
    """
    kinds, count = captions_part(budget), budget.get("num_substitutions")
    if not kinds:
        return None
    *first, last = [kind if count > 1 else kind.removesuffix("s") for kind in kinds]
    return f"{count} {', '.join(first)}{' or ' if first else ''}{last}"


def captions_part(budget):
    """Returns what an AutoAttack does to captions, a list of names, empty if nothing."""
    if "attack" not in budget or budget.get("num_substitutions") is None:
        return []
    # Versions before this choice searched for free tokens.
    return budget.get("text", ["tokens"])


def duplicates_line(report):
    """Writes how many captions stand under several ids, and what recall@1 that leaves.

    Args:
        report: Dict, as `evaluate` returns it.

    Returns:
        String, or `None` where there are none, or the report is of a version that did not count.
    """
    found = report.get("duplicate_captions")
    if not found or not found["count"]:
        return None
    told = f"{found['count']:,} captions stand under several ids"
    if "merged_captions" in report["counts"]:
        return f"{told}; they are merged, each right for the images of all."
    most = (f"{ARROWS[name]} {percent(most)}" for name, most in found["ceiling"].items())
    return f"{told}: recall@1 is at most {', '.join(most)} if they are not merged."


def percent(fraction):
    """Writes a fraction in percent with one decimal, `None` as a dash."""
    return "–" if fraction is None else f"{100 * fraction:.1f} %"
