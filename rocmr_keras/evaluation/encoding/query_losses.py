import numpy as np
from keras import ops

from rocmr_keras.attacks import Target
from rocmr_keras.attacks import objectives


def query_losses(model, queries, gallery, relevance, objective, clean=None, batch_size=256):
    """The loss of each query under an attack objective, against a whole gallery.

    Args:
        model: A `DualEncoder`, for its `scale`.
        queries: Float array `(queries, dim)`, embeddings, attacked or not.
        gallery: Float array `(items, dim)`, embeddings.
        relevance: `Relevance` of the queries to the items.
        objective: Name or callable, see `rocmr_keras.attacks.objectives.get`.
        clean: Float array `(queries, dim)`, the queries before the attack, where the
            objective needs them. Defaults to `None`.
        batch_size: Int. Defaults to `256`.

    Returns:
        Float32 array `(queries,)`.
    """
    objective = objectives.get(objective)
    gallery, losses = ops.convert_to_tensor(gallery, "float32"), []
    for start in range(0, len(queries), batch_size):
        rows = np.arange(start, min(start + batch_size, len(queries)))
        excluded = relevance.self_mask(rows) if relevance.exclude_self else None
        target = Target(
            gallery,
            ops.convert_to_tensor(relevance.mask(rows)),
            scale=ops.stop_gradient(ops.convert_to_tensor(model.scale())),
            clean=None if clean is None else ops.convert_to_tensor(clean[rows], "float32"),
            excluded=None if excluded is None else ops.convert_to_tensor(excluded),
        )
        found = objective(ops.convert_to_tensor(queries[rows], "float32"), target)
        losses.append(ops.convert_to_numpy(found))
    return np.concatenate(losses)
