"""Attack objectives that say how far an embedding has gone, with or without ground truth."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="rocmr_keras")
def embedding_distance(embeddings, target):
    """Squared distance to the clean embedding; needs no ground truth.

    Its gradient is zero at the clean input, so it needs a random start.

    Args:
        embeddings: Float tensor `(n * batch, dim)`.
        target: A `Target` with `clean`.

    Returns:
        Float tensor `(n * batch,)`.

    Raises:
        ValueError: If the target has no clean embeddings.

    Reference:
        Schlarmann et al., "Robust CLIP" (FARE), 2024 (arXiv:2402.12336).
    """
    moved = target.stack(embeddings) - _clean("embedding_distance", target)
    return ops.reshape(ops.sum(ops.square(moved), axis=-1), (-1,))


@keras.saving.register_keras_serializable(package="rocmr_keras")
def embedding_kl(embeddings, target):
    """Divergence of the softmax of an embedding from that of the clean embedding.

    For comparison with Co-Attack: a softmax over the coordinates of an embedding has no
    meaning in a space of cosine similarity, and other objectives are stronger. Its
    gradient is zero at the clean input, so it needs a random start.

    Args:
        embeddings: Float tensor `(n * batch, dim)`.
        target: A `Target` with `clean`.

    Returns:
        Float tensor `(n * batch,)`.

    Raises:
        ValueError: If the target has no clean embeddings.

    Reference:
        Zhang et al., "Towards Adversarial Attack on Vision-Language Pre-training Models"
        (Co-Attack), 2022 (arXiv:2206.09391).
    """
    logs = ops.log_softmax(target.stack(embeddings))
    gap = logs - ops.log_softmax(_clean("embedding_kl", target))
    return ops.reshape(ops.sum(ops.exp(logs) * gap, axis=-1), (-1,))


@keras.saving.register_keras_serializable(package="rocmr_keras")
def positives_kl(embeddings, target):
    """Mean divergence of the softmax of an embedding from those of its ground truth.

    Args:
        embeddings: Float tensor `(n * batch, dim)`.
        target: A `Target`.

    Returns:
        Float tensor `(n * batch,)`.
    """
    logs = ops.log_softmax(target.stack(embeddings))
    shares = ops.exp(logs)
    crossed = ops.matmul(shares, ops.transpose(ops.log_softmax(target.gallery)))
    weights = ops.cast(target.positives, crossed.dtype)
    crossed = ops.sum(crossed * weights, axis=-1) / ops.sum(weights, axis=-1)
    return ops.reshape(ops.sum(shares * logs, axis=-1) - crossed, (-1,))


def _clean(name, target):
    if target.clean is None:
        raise ValueError(
            f"`{name}` compares with the clean embeddings. "
            "Received: target.clean=None. Build the `Target` with `clean=`."
        )
    return target.clean
