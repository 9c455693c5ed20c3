"""Checks of constructor arguments that several attacks share."""


def check_budget(name, value, optional=False):
    """Returns `value` if it is a finite number that is not negative."""
    if value is None and optional:
        return None
    if not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise ValueError(
            f"`{name}` must be a finite number of at least 0. "
            f"Received: {name}={value!r}. Write e.g. {name}=4 / 255."
        )
    return value


def check_count(name, value, least=1):
    """Returns `value` if it is an int of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(
            f"`{name}` must be an integer of at least {least}. "
            f"Received: {name}={value!r}."
        )
    return value
