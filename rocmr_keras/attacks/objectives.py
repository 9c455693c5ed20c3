"""What an attack maximises: per-example losses of attacked embeddings.

Every objective is a function `(embeddings, target) -> losses`. `embeddings` has shape
`(n * batch, dim)`: `n` stacked copies of the attacked batch (`n = 1` but for searches
that score many candidates at once). The losses have shape `(n * batch,)`, and each
depends on its own embedding only, so that neither the batch size nor the other
examples can change what an attack finds.
"""

import keras
from keras import ops

# Stands for minus infinity, which would turn differences and gradients into NaN.
_FAR = -1e9
# Taken for the similarity of an item that is not there: lower than any cosine, yet so near
# that the mean over several queries is not lost in rounding.
NO_ITEM = -2.0
# As in `rocmr_keras.metrics`: similarities closer than this are a tie.
_TIE = 1e-6


class Target:
    """What attacked embeddings are compared with: gallery, ground truth and temperature.

    Constant during an attack.

    Args:
        gallery: Float tensor `(items, dim)`, L2-normalised embeddings of the side
            that is searched.
        positives: Boolean tensor `(batch, items)`, the ground truth of each example, or
            the items that `target_similarity` shall make it find.
        scale: Float or scalar tensor, the inverse temperature. Defaults to `1.0`.
        clean: Float tensor `(batch, dim)`, the embeddings of the unperturbed examples,
            or `None`. Needed by `embedding_distance` and where `symmetric`.
        symmetric: Boolean, whether `contrastive` also takes the other direction, in which
            the attacked example competes with the clean rest of the batch. For
            training, where the batch is the gallery. Defaults to `False`.
        excluded: Boolean tensor `(batch, items)`, items that count neither way, such as the
            example itself, or `None`. Their similarity is taken for the lowest, -1.
            Defaults to `None`.
        first_rank: Integer tensor `(batch,)`, where `MarginsInTurn` begins, or which item
            `TargetedMargin` takes, or `None` for what they say. Defaults to `None`.
        rivals: Float tensor `(items,)`, the `rival_mass` of the whole batch, where the
            examples are a part of it, or `None`: they are all. Defaults to `None`.
    """

    def __init__(
        self,
        gallery,
        positives,
        scale=1.0,
        clean=None,
        symmetric=False,
        excluded=None,
        first_rank=None,
        rivals=None,
    ):
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
        self.first_rank = first_rank
        self.rivals = rivals

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
    """InfoNCE: minus the logarithm of the softmax probability of the ground truth.

    The default in training. Smooth everywhere and therefore easy to climb. It keeps
    growing after the rank is lost, and saturates where the temperature is small. With a
    symmetric target it is the mean over both directions.

    Args:
        embeddings: Float tensor `(n * batch, dim)`, L2-normalised.
        target: A `Target`.

    Returns:
        Float tensor `(n * batch,)`.

    Reference:
        - [van den Oord et al., 2018](https://arxiv.org/abs/1807.03748), InfoNCE
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


def rival_mass(clean, gallery, positives, scale):
    """Returns the logarithm of the softmax mass that an item's wrong examples have.

    Args:
        clean: Float tensor `(batch, dim)`, embeddings of all unperturbed examples.
        gallery: Float tensor `(items, dim)`.
        positives: Boolean tensor `(batch, items)`.
        scale: Float or scalar tensor, the inverse temperature.

    Returns:
        Float tensor `(items,)`.
    """
    similarities = scale * ops.matmul(clean, ops.transpose(gallery))
    return ops.logsumexp(ops.where(positives, _FAR, similarities), axis=0)


def _reverse_contrastive(logits, target):
    """InfoNCE of each example's positives, which look for it among the clean batch."""
    rivals = target.rivals
    if rivals is None:
        rivals = rival_mass(target.clean, target.gallery, target.positives, target.scale)
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
        - [Lu et al., 2023](https://arxiv.org/abs/2307.14061), SGA
    """
    similarities = target.similarities(embeddings)
    own = ops.where(target.positives, similarities, 0.0)
    return ops.reshape(-ops.sum(own, axis=-1), (-1,))


@keras.saving.register_keras_serializable(package="rocmr_keras")
def margin(embeddings, target):
    """Best wrong similarity minus best right one: from 0 on recall@1 is lost.

    Its sign tells recall@1 exactly, whatever the temperature, but its gradient comes from
    two items of the gallery only. For recall at other ranks see `MarginAtK`.

    Args:
        embeddings: Float tensor `(n * batch, dim)`, L2-normalised.
        target: A `Target`.

    Returns:
        Float tensor `(n * batch,)`, between -2 and 2; below -1 where no item is wrong.
    """
    right, wrong = right_and_wrong(embeddings, target)
    return ops.reshape(ops.max(wrong, axis=-1) - right, (-1,))


def right_and_wrong(embeddings, target):
    """Returns what decides the rank: the best right similarity, and all wrong ones.

    Args:
        embeddings: Float tensor `(n * batch, dim)`, L2-normalised.
        target: A `Target`.

    Returns:
        Tuple of the similarity of the best right item `(n, batch)`, and of all items
        `(n, batch, items)`, with -2 in place of one that is not wrong. Where nothing is
        right, the first is -2 too.
    """
    similarities = target.similarities(embeddings)
    right = ops.max(ops.where(target.positives, similarities, NO_ITEM), axis=-1)
    not_wrong = target.positives
    if target.excluded is not None:
        not_wrong = ops.logical_or(not_wrong, target.excluded)
    return right, ops.where(not_wrong, NO_ITEM, similarities)


@keras.saving.register_keras_serializable(package="rocmr_keras")
def margin_ratio(embeddings, target):
    """`margin` divided by the gap between the first and the third similarity: DLR for retrieval.

    Neither the temperature nor any other scaling of the similarities changes it, so a
    model cannot hide behind a saturated loss. Items that tie count as one: were the third a
    copy of the second, the ratio would be -1 for every query that is right, without a
    gradient, and were all three equal, it would have no value. Where there are no three
    different similarities it is the margin itself.

    Args:
        embeddings: Float tensor `(n * batch, dim)`, L2-normalised.
        target: A `Target` of at least three items.

    Returns:
        Float tensor `(n * batch,)`.

    Raises:
        ValueError: If the gallery has fewer than three items.

    Reference:
        - [Croce and Hein, 2020](https://arxiv.org/abs/2003.01690), the DLR loss
    """
    # `None` where the size of the gallery is known at run time only.
    items = target.gallery.shape[0]
    if items is not None and items < 3:
        raise ValueError(
            "`margin_ratio` needs a gallery of at least 3 items. "
            f"Received: a gallery of {items}. Use 'margin'."
        )
    gap = _gap_to_the_third(target.similarities(embeddings))
    return margin(embeddings, target) / ops.reshape(gap, (-1,))


def _gap_to_the_third(similarities):
    first = ops.max(similarities, axis=-1, keepdims=True)
    second = _best_below(similarities, first)
    third = _best_below(similarities, second)
    # 1, not a small number, where nothing is third: the quotient would explode.
    return ops.where(third > _FAR / 2, first - third, 1.0)


def _best_below(similarities, limit):
    """The best of the similarities that do not tie with the limit."""
    below = ops.where(similarities < limit - _TIE, similarities, _FAR)
    return ops.max(below, axis=-1, keepdims=True)


@keras.saving.register_keras_serializable(package="rocmr_keras")
def target_similarity(embeddings, target):
    """Mean cosine similarity to the items marked in `target.positives`: a targeted attack.

    `positives` are the items to be retrieved here, not the ground truth. With many of them
    the attack makes a hub, an item that is close to all of them.

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
        - [Schlarmann et al., 2024](https://arxiv.org/abs/2402.12336), FARE
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
        - [Zhang et al., 2022](https://arxiv.org/abs/2206.09391), Co-Attack
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
            `(embeddings, target) -> losses`, such as a `MarginAtK`, which is returned as it is.

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
