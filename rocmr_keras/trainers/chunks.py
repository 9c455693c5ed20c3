"""Batches larger than memory: the work of a step, some rows at a time.

The attacks of a step are separable: an attacked example competes with the clean rest of the
batch. So the clean embeddings of all are enough to attack a chunk, and the embeddings of all,
each computed again in the backward pass, to train on it.

Reference:
    - [Gao et al., 2021](https://arxiv.org/abs/2101.06983), gradient caching
    - [Chen et al., 2016](https://arxiv.org/abs/1604.06174), recomputing
"""

import copy

import keras
from keras import ops

from rocmr_keras.attacks.objectives import rival_mass
from rocmr_keras.backend import in_chunks
from rocmr_keras.trainers.objective import positives

# Keys of a chunk, beside those of a batch.
_POSITIVES, _CLEAN = "_positives", "_clean"


def attack_chunks(attack, model, batch, goal, size):
    """Attacks a batch, some rows at a time.

    Args:
        attack: An `Attack`.
        model: A `DualEncoder`.
        batch: Batch dict.
        goal: A `Goal` over the whole batch.
        size: Integer, the most rows of a chunk, or `None`: all rows at once.

    Returns:
        Dict of what is added to the batch.
    """
    if size is None:
        return attack.perturb(model, batch, goal)
    whole = goal.target

    def perturb(rows):
        target = _changed(whole, positives=rows[_POSITIVES], clean=rows.get(_CLEAN))
        return attack.perturb(model, float_pixels(rows), _changed(goal, target=target))

    clean = {} if whole.clean is None else {_CLEAN: whole.clean}
    rows = {**batch, **clean, _POSITIVES: whole.positives}
    return in_chunks(perturb, rows, size, attack.variables)


def rivals(clean, gallery, ids, scale, size):
    """Returns the `rival_mass` of the items of a batch, of some items at a time.

    Args:
        clean: Float tensor `(batch, dim)`, embeddings of all unperturbed examples.
        gallery: Float tensor `(batch, dim)`.
        ids: Integer tensor `(batch,)`, equal ones of pairs that match.
        scale: Scalar float tensor, the inverse temperature.
        size: Integer, the most items of a chunk, or `None`: all at once.

    Returns:
        Float tensor `(batch,)`.
    """

    def mass(items):
        return {"mass": rival_mass(clean, items["gallery"], positives(ids, items["ids"]), scale)}

    return in_chunks(mass, {"gallery": gallery, "ids": ids}, size)["mass"]


def _changed(thing, **attributes):
    changed = copy.copy(thing)
    for name, value in attributes.items():
        setattr(changed, name, value)
    return changed


def encode_chunks(encode, model, batch, size):
    """Encodes a batch, some rows at a time, which go through the model again to go back.

    Args:
        encode: Callable from a batch dict to a dict of embeddings.
        model: A `DualEncoder`, by whose weights the embeddings are differentiated.
        batch: Batch dict.
        size: Integer, the most rows of a chunk, or `None`: all rows at once.

    Returns:
        Dict of embeddings.
    """
    if size is None:
        return encode(batch)
    seeds = _seeds(model)
    return in_chunks(lambda rows: encode(float_pixels(rows)), batch, size, seeds, model)


def float_pixels(batch):
    """Returns a batch dict of which the images are floats in [0, 1], also where they are uint8."""
    images = batch.get("images")
    if images is None or keras.backend.standardize_dtype(images.dtype) != "uint8":
        return batch
    # A product, as in `data`: some graphs make one of a quotient.
    return {**batch, "images": ops.cast(images, "float32") * (1.0 / 255.0)}


def _seeds(model):
    """Returns the states that dropout draws from: variables of Keras that are no weights."""
    weights = {id(weight) for weight in model.weights}
    return [each for each in model.non_trainable_variables if id(each) not in weights]
