"""What is said of items that cannot be used, and how many may be left out."""


def check_share(bad, count, max_bad_fraction, received):
    """Refuses a larger share of bad items than is allowed.

    Args:
        bad: Integer, how many are bad.
        count: Integer, how many there are.
        max_bad_fraction: Float in `[0, 1]`.
        received: String, what came: it lists the bad items.

    Raises:
        ValueError: If there are too many.
    """
    if bad > max_bad_fraction * count:
        raise ValueError(
            f"At most a share of {max_bad_fraction:g} may be bad (`max_bad_fraction`). "
            f"Received: {received}. Repair them, check the folder of the images, or raise "
            "`max_bad_fraction`."
        )


def listed(lines, most=20):
    """Joins the first lines of a list, and says how many more there are."""
    more = len(lines) - most
    return "; ".join(lines[:most]) + (f"; and {more} more" if more > 0 else "")
