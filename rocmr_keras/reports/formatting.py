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


def percent(fraction):
    """Writes a fraction in percent with one decimal, `None` as a dash."""
    return "–" if fraction is None else f"{100 * fraction:.1f} %"
