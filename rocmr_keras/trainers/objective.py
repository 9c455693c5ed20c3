"""The training objective: from the views of a batch to one number."""

import keras
from keras import ops

from rocmr_keras import losses
from rocmr_keras.backend import in_chunks
from rocmr_keras.backend import rows_in_chunks
from rocmr_keras.backend import take_rows
from rocmr_keras.trainers.terms import VIEWS

# A few rows of a large batch have as many similarities as many of a small one.
_FEWEST_ROWS, _MOST_SIMILARITIES = 16, 2**16


def positives(ids, others=None):
    """Returns which pairs match: those of equal id.

    Args:
        ids: Integer tensor `(batch,)`, see `identities`.
        others: Integer tensor `(items,)`, the ids that stand in the columns. Defaults to
            `None`: the same.

    Returns:
        Boolean tensor `(batch, items)`.
    """
    return ops.expand_dims(ids, 1) == (ids if others is None else others)


def total_loss(model, terms, retrieval_loss, ids, views, chunk_size=None):
    """Adds up the weighted terms.

    Args:
        model: A `DualEncoder`, for its similarity.
        terms: A `Terms`.
        retrieval_loss: Callable, see `rocmr_keras.losses`.
        ids: Integer tensor `(batch,)`, equal ones of pairs that match.
        views: Dict, what `RoCMR` gives for a batch, and its reference embeddings.
        chunk_size: Integer, rows of the similarities that are there at a time, and computed again
            in the backward pass, or `None`, all. A loss of one's own takes all rows of one term at
            a time; a consistency term, which compares them, takes all of all. Defaults
            to `None`.

    Returns:
        Scalar float tensor.
    """
    total = 0.0
    if terms.retrieves() and chunk_size and not terms.consistency:
        by_row = losses.goes_by_row(retrieval_loss)
        retrieve = _retrieval_by_row if by_row else _retrieval_one_by_one
        total += retrieve(model, terms, retrieval_loss, ids, views, chunk_size)
    elif terms.retrieves():
        blocks = _similarity_blocks(model, terms, views)
        total += _retrieval(model, terms, retrieval_loss, positives(ids), blocks)
        if terms.consistency:
            total += _consistency(model, terms, blocks)
    for weight, view, reference in terms.distances():
        if weight:
            total += weight * squared_distance(views[f"unnormalized_{view}"], views[reference])
    return total


def _retrieval(model, terms, retrieval_loss, own, blocks):
    scale, bias = model.scale(), model.bias()
    total = 0.0
    for weight, *pair in terms.blocks():
        if weight and tuple(pair) in blocks:
            total += weight * retrieval_loss(blocks[tuple(pair)], own, scale, bias)
    return total


def _retrieval_one_by_one(model, terms, retrieval_loss, ids, views, _):
    own = positives(ids)

    def term(rows, columns, scale, bias):
        return retrieval_loss(model.similarity(rows, columns), own, scale, bias)

    total = 0.0
    for weight, *pair in _pairs(terms, views):
        total += weight * keras.remat(term)(*(views[name] for name in pair), *_head(model))
    return total


def _retrieval_by_row(model, terms, retrieval_loss, ids, views, chunk_size):
    pairs = _pairs(terms, views)
    if not pairs:
        return 0.0
    names = sorted({name for _, *pair in pairs for name in pair})

    def compare(place, count, tensors):
        *embeddings, scale, bias = tensors
        known = dict(zip(names, embeddings))
        here = {name: take_rows(value, place, count) for name, value in known.items()}
        own, total = positives(take_rows(ids, place, count), ids), 0.0
        for weight, first, second in pairs:
            rows = model.similarity(here[first], known[second])
            columns = ops.transpose(model.similarity(known[first], here[second]))
            for part in (rows, columns):
                total += weight * retrieval_loss.by_row(part, own, scale, bias)
        return [total, ops.sum(ops.cast(own, total.dtype), axis=1)]

    tensors, count = [*(views[name] for name in names), *_head(model)], ops.shape(ids)[0]
    if isinstance(count, int):
        chunk_size = min(chunk_size, max(_FEWEST_ROWS, _MOST_SIMILARITIES // count))
    found, num_positives = rows_in_chunks(compare, tensors, count, chunk_size)
    return retrieval_loss.mean(found, ops.stop_gradient(num_positives))


def _pairs(terms, views):
    """Returns the retrieval terms that count: weight, view of the rows, view of the columns."""
    return [each for each in terms.blocks() if each[0] and all(name in views for name in each[1:])]


def _head(model):
    return [ops.convert_to_tensor(each) for each in (model.scale(), model.bias())]


def _consistency(model, terms, blocks):
    # Without the bias: it is the same on both sides, and no softmax sees it.
    clean = model.scale() * blocks["image_embeddings", "text_embeddings"]
    pairs = terms.adversarial_blocks()
    moved = [model.scale() * blocks[pair] for pair in pairs]
    divergences = [symmetric_divergence(clean, logits) for logits in moved]
    return terms.consistency * sum(divergences) / len(pairs)


def _similarity_blocks(model, terms, views):
    """Returns the blocks of one similarity matrix by `(row view, column view)`."""
    image, text, moved_image, moved_text = VIEWS
    rows = [name for name in (image, moved_image) if name in views]
    columns = [name for name in (text, moved_text) if name in views]
    blocks = {}
    if rows and columns:
        # One product of all views is faster than one for each block.
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


def squared_distance(embeddings, reference):
    """Squared Euclidean distance between rows, the mean over the batch.

    Args:
        embeddings: Float tensor `(batch, dim)`, not normalised.
        reference: Float tensor `(batch, dim)`, a constant.

    Returns:
        Scalar float tensor.

    Reference:
        - [Schlarmann et al., 2024](https://arxiv.org/abs/2402.12336), FARE
        - [Abad Rocamora et al., 2025](https://arxiv.org/abs/2506.03355), LEAF
    """
    # In `RoCMR` it is a constant already; a caller's own tape may have recorded it.
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
        - [Gan et al., 2020](https://arxiv.org/abs/2006.06195), VILLA
    """
    total = 0.0
    for axis in (0, 1):
        first, second = (ops.log_softmax(x, axis=axis) for x in (logits, other))
        # KL(p, q) + KL(q, p) in one sum.
        terms = (ops.exp(first) - ops.exp(second)) * (first - second)
        total += ops.mean(ops.sum(terms, axis=axis)) / 2.0
    return total


def batch_recall(pairs, ids, chunk_size=None):
    """Recall@1 within a batch; ties count against the model.

    Args:
        pairs: List of pairs of queries and gallery, float tensors `(batch, dim)`, L2-normalised.
        ids: Integer tensor `(batch,)`, equal ones of pairs that match.
        chunk_size: Integer, queries that are compared at a time. Defaults to `None`, all.

    Returns:
        List of float tensors `(batch,)`, one of each pair: 1 where the best positive leads
        every negative, else 0.
    """
    queries = {str(index): each for index, (each, _) in enumerate(pairs)}
    galleries = [ops.transpose(each) for _, each in pairs]

    def compare(rows):
        own = positives(rows["ids"], ids)
        leads = (_leads(rows[name], each, own) for name, each in zip(queries, galleries))
        return dict(zip(queries, leads))

    return list(in_chunks(compare, {"ids": ids, **queries}, chunk_size).values())


def _leads(queries, gallery, own):
    similarities = ops.matmul(queries, gallery)
    right = ops.max(ops.where(own, similarities, -2.0), axis=1)
    wrong = ops.max(ops.where(own, -2.0, similarities), axis=1)
    return ops.cast(right > wrong, "float32")
