"""Attacked inputs as a file can hold them, and what they do then."""

import numpy as np

from rocmr_keras.evaluation.encoding.embeddings import encode_inputs
from rocmr_keras.evaluation.ensemble.text_part import reads_strings
from rocmr_keras.metrics.directions import sides

# Of a level: what float32 may be off by at the edge of the ball.
_TOLERANCE = 1e-2


def levels_of(images, clean, attack):
    """Rounds attacked images to 256 levels without leaving the ball around the clean ones.

    Within `linf` to the nearest level that is inside, under another norm, or none that is known,
    towards the clean image: then no change of a pixel grows.

    Args:
        images: Float array `(n, height, width, 3)` in `[0, 1]`.
        clean: The same, before the attack, on the grid of 256 levels.
        attack: The attack, with its `norm` and `epsilon` if it has them.

    Returns:
        uint8 array `(n, height, width, 3)`.
    """
    clean, images = 255.0 * clean.astype("float64"), 255.0 * images.astype("float64")
    change = images - clean
    epsilon = getattr(attack, "epsilon", None)
    if getattr(attack, "norm", None) == "linf" and epsilon is not None:
        limit = np.floor(255.0 * epsilon + _TOLERANCE)
        change = np.clip(np.round(change), -limit, limit)
    else:
        change = np.trunc(change + _TOLERANCE * np.sign(change))
    return np.clip(np.round(clean + change), 0, 255).astype("uint8")


def ranks_as_written(encoded, direction, queries, written):
    """Ranks queries whose inputs are taken from files.

    Args:
        encoded: An `EncodedSplit`.
        direction: String.
        queries: Integer array, ascending.
        written: A uint8 array of images, or a list of captions, as many.

    Returns:
        List of integers, or of `None` where no string can be read.
    """
    modality, preprocessor = sides(direction)[0], encoded.model.preprocessor
    if modality == "images":
        inputs = {"images": preprocessor.load_images(written)}
    elif reads_strings(preprocessor):
        inputs = dict(preprocessor.tokenize(written))
    else:
        return [None] * len(written)
    embeddings = np.array(encoded.embeddings(modality))
    size = min(encoded.batch_size, len(embeddings))
    embeddings[queries] = encode_inputs(encoded.model, modality, inputs, size)
    return encoded.rank(direction, queries=embeddings, only=queries).ranks.tolist()
