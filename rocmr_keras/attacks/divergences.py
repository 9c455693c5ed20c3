"""Attack objectives of Co-Attack: divergences between embeddings read as distributions.

Zhang et al., "Towards Adversarial Attack on Vision-Language Pre-training Models", 2022
(arXiv:2206.09391). Kept for comparison: a softmax over the coordinates of an embedding
has no meaning in a space of cosine similarity, and other objectives are stronger.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="rocmr_keras")
def embedding_kl(embeddings, target):
    """Divergence of the softmax of an embedding from that of the clean embedding.

    Its gradient is zero at the clean input, so it needs a random start.

    Args:
        embeddings: Float tensor `(n * batch, dim)`.
        target: A `Target` with `clean`.

    Returns:
        Float tensor `(n * batch,)`.

    Raises:
        ValueError: If the target has no clean embeddings.
    """
    if target.clean is None:
        raise ValueError(
            "`embedding_kl` compares with the clean embeddings. "
            "Received: target.clean=None. Build the `Target` with `clean=`."
        )
    logs = ops.log_softmax(target.stack(embeddings))
    gap = logs - ops.log_softmax(target.clean)
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
