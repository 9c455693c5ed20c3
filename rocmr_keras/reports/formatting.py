"""How reports for people write directions and shares."""

ARROWS = {
    "image_to_text": "image→text",
    "text_to_image": "text→image",
    "image_to_image": "image→image",
    "text_to_text": "text→text",
}


def percent(fraction):
    """Writes a fraction in percent with one decimal, `None` as a dash."""
    return "–" if fraction is None else f"{100 * fraction:.1f} %"
