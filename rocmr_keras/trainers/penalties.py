"""Terms that are no retrieval loss: how far embeddings or logits have moved."""

from keras import ops


def squared_distance(embeddings, reference):
    """Squared Euclidean distance between rows, the mean over the batch.

    Args:
        embeddings: Float tensor `(batch, dim)`, not normalised.
        reference: Float tensor `(batch, dim)`, a constant.

    Returns:
        Scalar float tensor.

    Reference:
        Schlarmann et al., "Robust CLIP" (FARE), 2024 (arXiv:2402.12336); Abad Rocamora
        et al., "Robustness in Both Domains" (LEAF), 2025 (arXiv:2506.03355).
    """
    moved = embeddings - ops.stop_gradient(reference)
    return ops.mean(ops.sum(ops.square(moved), axis=-1))


def symmetric_divergence(logits, other):
    """Sum of both Kullback-Leibler divergences, the mean over both softmax directions.

    Args:
        logits: Float tensor `(rows, columns)`.
        other: Float tensor `(rows, columns)`.

    Returns:
        Scalar float tensor.

    Reference:
        Gan et al., "Large-Scale Adversarial Training for Vision-and-Language
        Representation Learning" (VILLA), 2020 (arXiv:2006.06195).
    """
    total = 0.0
    for axis in (0, 1):
        first, second = (ops.log_softmax(x, axis=axis) for x in (logits, other))
        # KL(p, q) + KL(q, p) in one sum.
        terms = (ops.exp(first) - ops.exp(second)) * (first - second)
        total += ops.mean(ops.sum(terms, axis=axis)) / 2.0
    return total
