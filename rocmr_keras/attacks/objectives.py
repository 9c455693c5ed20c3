"""What an attack maximises: per-example losses of attacked embeddings.

Every objective is a function `(embeddings, target) -> losses`. `embeddings` has shape
`(n * batch, dim)`: `n` stacked copies of the attacked batch (`n = 1` but for searches
that score many candidates at once). The losses have shape `(n * batch,)`, and each
depends on its own embedding only, so that neither the batch size nor the other
examples can change what an attack finds.
"""

import keras
from keras import ops

_FAR = -1e9


class Target:
    """What the attacked embeddings are compared with; constants of an attack.

    Args:
        gallery: Float tensor `(items, dim)`, L2-normalised embeddings of the side
            that is searched.
        positives: Bool tensor `(batch, items)`, the ground truth of each example, or
            the items that `target_similarity` shall make it find.
        scale: Float or scalar tensor, the inverse temperature. Defaults to `1.0`.
        clean: Float tensor `(batch, dim)`, the embeddings of the unperturbed examples,
            or `None`. Needed by `embedding_distance` and where `symmetric`.
        symmetric: Bool, whether `contrastive` also takes the other direction, in which
            the attacked example competes with the clean rest of the batch. For
            training, where the batch is the gallery. Defaults to `False`.
        excluded: Bool tensor `(batch, items)`, items that count neither way, such as the
            example itself, or `None`. Their similarity is taken for the lowest, -1.
            Defaults to `None`.
    """

    def __init__(self, gallery, positives, scale=1.0, clean=None, symmetric=False, excluded=None):
        if symmetric and clean is None:
            raise ValueError(
                "`symmetric=True` needs the clean embeddings of the batch. "
                "Received: clean=None. Pass `clean`, or use `symmetric=False`."
            )
        self.gallery = gallery
        self.positives = positives
        self.scale = scale
        self.clean = clean
        self.symmetric = symmetric
        self.excluded = excluded

    def similarities(self, embeddings):
        """Returns cosine similarities, shape `(n, batch, items)`."""
        similarities = ops.matmul(self.stack(embeddings), ops.transpose(self.gallery))
        if self.excluded is None:
            return similarities
        return ops.where(self.excluded, -1.0, similarities)

    def stack(self, embeddings):
        """Reshapes `(n * batch, dim)` to `(n, batch, dim)`."""
        batch = ops.shape(self.positives)[0]
        return ops.reshape(embeddings, (-1, batch, embeddings.shape[-1]))


@keras.saving.register_keras_serializable(package="rocmr_keras")
def contrastive(embeddings, target):
    """InfoNCE: minus the log share of softmax mass on the ground truth.

    The default of training. Smooth everywhere and therefore easy to climb; it can go
    on growing after the rank is lost, and saturates where the temperature is small.
    Where the target is symmetric, the mean over both directions.

    Args:
        embeddings: Float tensor `(n * batch, dim)`, L2-normalised.
        target: A `Target`.

    Returns:
        Float tensor `(n * batch,)`.

    Reference:
        van den Oord et al., "Representation Learning with Contrastive Predictive
        Coding", 2018 (arXiv:1807.03748).
    """
    logits = target.scale * target.similarities(embeddings)
    right = ops.logsumexp(ops.where(target.positives, logits, _FAR), axis=-1)
    wrong = ops.logsumexp(ops.where(target.positives, _FAR, logits), axis=-1)
    # Not a difference of two sums, which is 0 where the model is sure: there an attack would
    # stand still.
    losses = ops.softplus(wrong - right)
    if target.symmetric:
        losses = (losses + _reverse_contrastive(logits, target)) / 2.0
    return ops.reshape(losses, (-1,))


def _reverse_contrastive(logits, target):
    """InfoNCE of each example's positives, which look for it among the clean batch."""
    rivals = target.scale * ops.matmul(target.clean, ops.transpose(target.gallery))
    rivals = ops.logsumexp(ops.where(target.positives, _FAR, rivals), axis=0)
    losses = ops.softplus(rivals - logits)
    weights = ops.cast(target.positives, losses.dtype)
    return ops.sum(losses * weights, axis=-1) / ops.sum(weights, axis=-1)


@keras.saving.register_keras_serializable(package="rocmr_keras")
def similarity(embeddings, target):
    """Minus the summed cosine similarity to the ground truth.

    Unlike `contrastive` it ignores the rest of the gallery, and its gradient never
    saturates; over all captions of an image it is the set-level loss of SGA.

    Args:
        embeddings: Float tensor `(n * batch, dim)`, L2-normalised.
        target: A `Target`.

    Returns:
        Float tensor `(n * batch,)`.

    Reference:
        Lu et al., "Set-level Guidance Attack", 2023 (arXiv:2307.14061).
    """
    similarities = target.similarities(embeddings)
    own = ops.where(target.positives, similarities, 0.0)
    return ops.reshape(-ops.sum(own, axis=-1), (-1,))


@keras.saving.register_keras_serializable(package="rocmr_keras")
def margin(embeddings, target):
    """Best wrong similarity minus best right one: positive means recall@1 is lost.

    The exact surrogate of recall@1, independent of the temperature, but it looks at
    two items of the gallery at a time.

    Args:
        embeddings: Float tensor `(n * batch, dim)`, L2-normalised.
        target: A `Target`.

    Returns:
        Float tensor `(n * batch,)`, between -2 and 2.
    """
    similarities = target.similarities(embeddings)
    wrong = ops.max(ops.where(target.positives, _FAR, similarities), axis=-1)
    right = ops.max(ops.where(target.positives, similarities, _FAR), axis=-1)
    return ops.reshape(wrong - right, (-1,))


@keras.saving.register_keras_serializable(package="rocmr_keras")
def margin_ratio(embeddings, target):
    """`margin` over the gap between the first and the third item: retrieval's DLR.

    Neither the temperature nor any other scaling of the similarities changes it, so a
    model cannot hide behind a saturated loss.

    Args:
        embeddings: Float tensor `(n * batch, dim)`, L2-normalised.
        target: A `Target` of at least three items.

    Returns:
        Float tensor `(n * batch,)`.

    Raises:
        ValueError: If the gallery has fewer than three items.

    Reference:
        Croce and Hein, "Reliable evaluation of adversarial robustness with an ensemble
        of diverse parameter-free attacks" (DLR loss), 2020 (arXiv:2003.01690).
    """
    items = target.gallery.shape[0]
    if items is not None and items < 3:
        raise ValueError(
            "`margin_ratio` needs a gallery of at least 3 items. "
            f"Received: a gallery of {items}. Use 'margin'."
        )
    top, _ = ops.top_k(target.similarities(embeddings), 3)
    gap = ops.reshape(top[..., 0] - top[..., 2], (-1,))
    return margin(embeddings, target) / (gap + 1e-12)


@keras.saving.register_keras_serializable(package="rocmr_keras")
def target_similarity(embeddings, target):
    """Mean cosine similarity to the items marked in `target.positives`: a targeted attack.

    Mark the items that shall be found. With many of them it makes a hub.

    Args:
        embeddings: Float tensor `(n * batch, dim)`, L2-normalised.
        target: A `Target` whose `positives` are the wanted items.

    Returns:
        Float tensor `(n * batch,)`, between -1 and 1.
    """
    similarities = target.similarities(embeddings)
    wanted = ops.cast(target.positives, similarities.dtype)
    similarities = similarities * wanted
    return ops.reshape(ops.sum(similarities, -1) / ops.sum(wanted, -1), (-1,))


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


_OBJECTIVES = {
    "contrastive": contrastive,
    "similarity": similarity,
    "margin": margin,
    "margin_ratio": margin_ratio,
    "target_similarity": target_similarity,
    "embedding_distance": embedding_distance,
    "embedding_kl": embedding_kl,
    "positives_kl": positives_kl,
}


def get(identifier):
    """Returns an attack objective.

    Args:
        identifier: A name (`"contrastive"`, `"similarity"`, `"margin"`,
            `"margin_ratio"`, `"target_similarity"`, `"embedding_distance"`,
            `"embedding_kl"`, `"positives_kl"`) or a callable
            `(embeddings, target) -> losses`, which is returned as it is.

    Raises:
        ValueError: If it is neither.
    """
    if callable(identifier):
        return identifier
    if isinstance(identifier, str) and identifier in _OBJECTIVES:
        return _OBJECTIVES[identifier]
    raise ValueError(
        f"`objective` must be one of {sorted(_OBJECTIVES)} or a callable. "
        f"Received: objective={identifier!r}. "
        "A callable takes `(embeddings, target)` and returns one loss per embedding."
    )
