from keras import ops

from rocmr_keras.attacks.beam import NEVER


def first_order_gains(
    gradient, token_ids, positions, vocabulary, candidates=None, match_length=False
):
    """Estimates what each single swap adds to the loss.

    Args:
        gradient: Float tensor `(batch, length, dim)`, of the loss by the embeddings.
        token_ids: Int tensor `(batch, length)`.
        positions: Bool tensor `(batch, length)`, the positions that may be replaced.
        vocabulary: A `Vocabulary`.
        candidates: A candidate mask or `None`. Defaults to `None`.
        match_length: Bool, whether `e_new` is taken at the length of `e_old`. Defaults to
            `False`.

    Returns:
        Float tensor `(batch, length, vocabulary_size)`: `(e_new - e_old) . gradient`,
        and `-1e30` for a swap that is not allowed or changes nothing.
    """
    table = ops.cast(vocabulary.table, "float32")
    if match_length:
        lengths = ops.sqrt(ops.sum(ops.square(table), axis=-1))
        table = table / ops.maximum(lengths, 1e-12)[:, None]
        gradient = gradient * ops.take(lengths, token_ids)[..., None]
    new = ops.matmul(gradient, ops.transpose(table))
    old = ops.take_along_axis(new, token_ids[..., None], axis=-1)
    tokens = ops.arange(table.shape[0], dtype=token_ids.dtype)
    allowed = ops.logical_and(positions[..., None], vocabulary.allowed)
    allowed = ops.logical_and(allowed, tokens != token_ids[..., None])
    if candidates is not None:
        allowed = ops.logical_and(allowed, candidates.mask(token_ids, vocabulary))
    return ops.where(allowed, new - old, NEVER)
