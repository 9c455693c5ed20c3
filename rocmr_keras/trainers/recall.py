from keras import ops


def batch_recall(images, texts, positives):
    """Recall@1 within a batch; ties count against the model.

    Args:
        images: Float tensor `(batch, dim)`, L2-normalised.
        texts: Float tensor `(batch, dim)`, L2-normalised.
        positives: Bool tensor `(batch, batch)`, rows images, columns texts.

    Returns:
        List of two float tensors `(batch,)`, image-to-text and text-to-image: 1 where
        the best positive leads every negative, else 0.
    """
    similarities = ops.matmul(images, ops.transpose(texts))
    right = ops.where(positives, similarities, -2.0)
    wrong = ops.where(positives, -2.0, similarities)
    return [
        ops.cast(ops.max(right, axis=axis) > ops.max(wrong, axis=axis), "float32")
        for axis in (1, 0)
    ]
