"""Ways to search a gallery inside the artefact: one interface, interchangeable."""

from rocmr_keras.gallery.indexes.exact import ExactIndex
from rocmr_keras.gallery.indexes.int8 import Int8Index
from rocmr_keras.gallery.indexes.inverted_file import InvertedFileIndex

_NAMED = {"exact": ExactIndex, "int8": Int8Index, "ivf": InvertedFileIndex}


def get(index):
    """Returns an index, given one or its name, `"exact"`, `"int8"` or `"ivf"`."""
    if isinstance(index, tuple(_NAMED.values())):
        return index
    if index not in _NAMED:
        raise ValueError(
            f"`index` must be one of {sorted(_NAMED)} or an index. Received: index={index!r}. "
            "Exact search is right up to a million vectors or so."
        )
    return _NAMED[index]()


def to_config(index):
    """Returns a dict from which `from_config` makes the index again."""
    (name,) = [name for name, kind in _NAMED.items() if type(index) is kind]
    return {"name": name, **index.get_config()}


def from_config(config):
    """Returns the index of a dict that `to_config` made."""
    config = dict(config)
    return _NAMED[config.pop("name")](**config)


__all__ = ["ExactIndex", "Int8Index", "InvertedFileIndex", "from_config", "get", "to_config"]
