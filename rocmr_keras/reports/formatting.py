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


def percent(fraction):
    """Writes a fraction in percent with one decimal, `None` as a dash."""
    return "–" if fraction is None else f"{100 * fraction:.1f} %"
