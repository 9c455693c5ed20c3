"""The blocks of any tower: what is frozen, adapted, decayed or recomputed one by one."""

import collections


def sublayers(layer, recursive=False):
    """Returns the layers that a layer holds, in the order it got them.

    The one place that asks Keras's private `_flatten_layers`: only models have a public
    list of their layers, and blocks are layers.
    """
    return list(layer._flatten_layers(include_self=False, recursive=recursive))


def set_trainable(layer, value):
    """Sets `trainable` of a layer and of everything in it that its output depends on.

    On TensorFlow, assigning the value that is there does nothing, whatever lies below: a
    layer made anew from the config of a frozen one says that it is frozen, and its
    weights train.
    """
    for part in (layer, *sublayers(layer, recursive=True)):
        part.trainable = not value
        part.trainable = value
    for part in getattr(layer, "unused_layers", ()):
        part.trainable = False


def ordered_blocks(tower):
    """Finds the blocks of a tower.

    The blocks are, in this order of preference: the layers in the tower's attribute
    `blocks`; the most frequent class among its parts that are made of several layers
    themselves, if there are two of it, such as the layers of a transformer; the same
    inside of one part that holds more than half of the weights; all parts. A part is a
    layer directly in the tower that has weights.

    Args:
        tower: Keras layer or model, built.

    Returns:
        Tuple of two lists of layers: the parts in order, the blocks among them, and the
        blocks.
    """
    parts = weighted_parts(tower)
    given = [part for part in parts if _is_in(part, getattr(tower, "blocks", None) or ())]
    blocks = given or _repeated(parts)
    if blocks or not parts:
        return parts, blocks
    largest = max(parts, key=_size)
    inside = weighted_parts(largest)
    if len(inside) > 1 and 2 * _size(largest) > _size(tower):
        inside, blocks = ordered_blocks(largest)
        index = [part is largest for part in parts].index(True)
        return [*parts[:index], *inside, *parts[index + 1 :]], blocks
    return parts, parts


def weighted_parts(layer):
    """Returns the layers directly in `layer` that bring weights not seen before."""
    parts, seen = [], set()
    for part in sublayers(layer):
        # Models that share layers, such as the halves of a text tower, count once.
        weights = {id(weight) for weight in part.weights}
        if weights - seen:
            parts.append(part)
            seen |= weights
    return parts


def _repeated(parts):
    composite = [part for part in parts if len(weighted_parts(part)) > 1]
    counts = collections.Counter(type(part) for part in composite).most_common(1)
    if not counts or counts[0][1] < 2:
        return []
    return [part for part in composite if type(part) is counts[0][0]]


def _is_in(part, layers):
    return any(part is layer for layer in layers)


def _size(layer):
    return layer.count_params()
