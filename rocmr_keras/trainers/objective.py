"""The training objective: from the views of a batch to one number."""

from keras import ops

from rocmr_keras.trainers import penalties


def positives(batch):
    """Returns who belongs together, bool `(batch, batch)`: equal ids, else the diagonal."""
    if "image_ids" in batch:
        ids = batch["image_ids"]
    else:
        ids = ops.arange(ops.shape(batch["token_ids"])[0])
    return ops.expand_dims(ids, 1) == ids


def total_loss(model, terms, retrieval_loss, batch, views):
    """Adds up the weighted terms.

    Args:
        model: A `DualEncoder`, for its similarity.
        terms: A `Terms`.
        retrieval_loss: Callable, see `rocmr_keras.losses`.
        batch: Dict, the perturbed batch.
        views: Dict, what `RoCMR` gives for it.

    Returns:
        Scalar float tensor.
    """
    total = 0.0
    if terms.retrieves():
        blocks = _similarity_blocks(model, terms, views)
        total += _retrieval(model, terms, retrieval_loss, positives(batch), blocks)
        if terms.consistency:
            total += _consistency(model, terms, blocks)
    for weight, view, modality in terms.distances():
        if weight:
            moved, clean = views[f"unnormalized_{view}"], batch[f"reference_{modality}"]
            total += weight * penalties.squared_distance(moved, clean)
    return total


def _retrieval(model, terms, retrieval_loss, own, blocks):
    scale, bias = model.scale(), model.bias()
    total = 0.0
    for weight, *pair in terms.blocks():
        if weight and tuple(pair) in blocks:
            total += weight * retrieval_loss(blocks[tuple(pair)], own, scale, bias)
    return total


def _consistency(model, terms, blocks):
    # Without the bias: it is the same on both sides, and no softmax sees it.
    clean = model.scale() * blocks["images", "texts"]
    pairs = terms.adversarial_blocks()
    moved = [model.scale() * blocks[pair] for pair in pairs]
    divergences = [penalties.symmetric_divergence(clean, logits) for logits in moved]
    return terms.consistency * sum(divergences) / len(pairs)


def _similarity_blocks(model, terms, views):
    """Returns the blocks of one similarity matrix by `(row view, column view)`."""
    rows = [name for name in ("images", "adversarial_images") if name in views]
    columns = [name for name in ("texts", "adversarial_texts") if name in views]
    blocks = {}
    if rows and columns:
        matrix = model.similarity(
            ops.concatenate([views[name] for name in rows]),
            ops.concatenate([views[name] for name in columns]),
        )
        for name, part in zip(rows, ops.split(matrix, len(rows), axis=0)):
            for other, block in zip(columns, ops.split(part, len(columns), axis=1)):
                blocks[name, other] = block
    for weight, *pair in terms.blocks()[4:]:
        if weight and all(name in views for name in pair):
            first, second = (views[name] for name in pair)
            blocks[tuple(pair)] = model.similarity(first, second)
    return blocks
