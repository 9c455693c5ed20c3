"""Graphs that are traced once for all preprocessors of the same settings."""

import weakref


class SharedGraphs(dict):
    """A dict that can be referred to weakly: traced functions by what they do."""


_by_settings = weakref.WeakValueDictionary()


def shared_graphs(settings):
    """Returns the graphs of some settings, as long as somebody holds them.

    A trace takes longer than a step of a small model, and each model that is loaded brings a
    preprocessor of its own.

    Args:
        settings: Tuple of all that the graphs are made of, hashable.

    Returns:
        A `SharedGraphs`, empty for the first who asks.
    """
    return _by_settings.setdefault(settings, SharedGraphs())
