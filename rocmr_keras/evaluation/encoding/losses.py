import numpy as np
from keras import ops

from rocmr_keras.attacks import Target
from rocmr_keras.attacks import objectives
from rocmr_keras.metrics.directions import sides

# Nothing is compiled here: only the memory of the similarities depends on it.
_BATCH_SIZE = 256


def query_losses(encoded, direction, queries, objective):
    """The loss of each query under an attack objective, against the whole clean gallery.

    Args:
        encoded: An `EncodedSplit`.
        direction: String.
        queries: Float array `(queries, dim)`, embeddings, attacked or not, of all queries of
            the direction.
        objective: String or callable, see `rocmr_keras.attacks.objectives.get`.

    Returns:
        Float32 array `(queries,)`.
    """
    objective = objectives.get(objective)
    searched, clean = encoded.searched(direction), encoded.embeddings(sides(direction)[0])
    gallery, relevance = _float_tensor(searched.embeddings), searched.relevance
    losses = []
    for start in range(0, len(queries), _BATCH_SIZE):
        rows = np.arange(start, min(start + _BATCH_SIZE, len(queries)))
        masks = relevance.ground_truth(rows)
        # Outside of any step, torch would record a graph for the temperature's gradient.
        target = Target(
            gallery,
            scale=ops.stop_gradient(ops.convert_to_tensor(encoded.model.scale())),
            clean=_float_tensor(clean[rows]),
            **{name: ops.convert_to_tensor(mask) for name, mask in masks.items()},
        )
        losses.append(ops.convert_to_numpy(objective(_float_tensor(queries[rows]), target)))
    return np.concatenate(losses)


def _float_tensor(values):
    return ops.convert_to_tensor(values, "float32")
