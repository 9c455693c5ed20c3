"""Ranks and recall of cross-modal retrieval, in NumPy: no similarity matrix, no sort."""

import numpy as np

from rocmr_keras.evaluation.items import Items
from rocmr_keras.evaluation.rank_counting import count_ahead


def query_ranks(queries, gallery, query_ids, gallery_ids, block_size=1024):
    """Rank of the best matching gallery item of every query.

    A gallery item matches a query iff their ids are equal; any number of items may match any
    number of queries. The rank is 1 plus the number of non-matching items whose score (dot
    product) is at least as high as the best match's, so ties are pessimistic: an encoder that
    maps everything to one point gets the worst rank, not luck. Matching items never count
    against each other. Scores that differ by less than `TIE_TOLERANCE` (1e-6) times the query's
    norm and the largest gallery norm are a tie. For both directions of one pair of sets,
    `cross_modal_ranks` needs half the time.

    The scores are multiplied in float32, block by block. Where the worst rounding error of that
    product could change a decision, the pair is computed again in float64, so the ranks do not
    depend on the block size, the order of the items or the linear algebra library.

    Args:
        queries: Float array of shape `(num_queries, dim)`, normally L2-normalised. Wider types
            are rounded to float32, on both sides.
        gallery: Float array of shape `(num_items, dim)`.
        query_ids: Integer array of shape `(num_queries,)`.
        gallery_ids: Integer array of shape `(num_items,)`. Items that match no query are
            distractors.
        block_size: Positive integer, rows and columns of a block of scores. Memory beyond the
            inputs is about `8 * block_size * (block_size + dim)` bytes, twice that when most
            scores tie. Defaults to `1024`.

    Returns:
        Int64 array of shape `(num_queries,)`, 1 for the first place.

    Raises:
        ValueError: A wrong shape or type, a NaN or an infinity, an empty gallery, or a query
            without a matching item.

    Example:

    >>> query_ranks([[1.0, 0.0]], [[0.6, 0.8], [0.8, 0.6]], [7], [7, 3])
    array([2])
    """
    queries = Items(queries, query_ids, "queries", "query_ids")
    gallery = Items(gallery, gallery_ids, "gallery", "gallery_ids")
    _check_pair(queries, gallery, block_size)
    _check_every_item_matches(queries, gallery)
    ahead, _ = count_ahead(queries, gallery, block_size, both=False)
    return queries.restore(ahead + 1)


def cross_modal_ranks(image_embeddings, text_embeddings, image_ids, text_ids, block_size=1024):
    """Ranks of image queries among texts and of text queries among images.

    The same numbers as two calls of `query_ranks`, both from one product per block.

    Args:
        image_embeddings: Float array of shape `(num_images, dim)`.
        text_embeddings: Float array of shape `(num_texts, dim)`.
        image_ids: Integer array of shape `(num_images,)`.
        text_ids: Integer array of shape `(num_texts,)`. An image and a text match iff their
            ids are equal, and each must have at least one match.
        block_size: Positive integer, see `query_ranks`. Defaults to `1024`.

    Returns:
        Dict of int64 arrays: `"image_to_text"` of shape `(num_images,)` and `"text_to_image"`
        of shape `(num_texts,)`.

    Raises:
        ValueError: As for `query_ranks`, on either side.

    Example:

    >>> cross_modal_ranks([[1.0, 0.0], [0.0, 1.0]], [[0.9, 0.1], [0.6, 0.4]], [0, 1], [0, 1])
    {'image_to_text': array([1, 1]), 'text_to_image': array([1, 2])}
    """
    images = Items(image_embeddings, image_ids, "image_embeddings", "image_ids")
    texts = Items(text_embeddings, text_ids, "text_embeddings", "text_ids")
    _check_pair(images, texts, block_size)
    _check_every_item_matches(images, texts)
    _check_every_item_matches(texts, images)
    image_ahead, text_ahead = count_ahead(images, texts, block_size, both=True)
    return {
        "image_to_text": images.restore(image_ahead + 1),
        "text_to_image": texts.restore(text_ahead + 1),
    }


def recall_at_k(ranks, k):
    """Share of the queries whose best match is among the first `k`.

    Args:
        ranks: Integer array of shape `(num_queries,)`, 1-based, as from `query_ranks`.
        k: Positive integer.

    Returns:
        Float in `[0, 1]`.

    Raises:
        ValueError: No ranks, ranks that are not whole numbers from 1 on, or a `k` below 1.

    Example:

    >>> recall_at_k([1, 3, 12], k=5)
    0.6666666666666666
    """
    ranks = _check_ranks(ranks)
    if not isinstance(k, (int, np.integer)) or isinstance(k, bool) or k < 1:
        raise ValueError(f"`k` must be a positive integer. Received: k={k!r}. Pass 1, 5 or 10.")
    return float(np.mean(ranks <= k))


def summarize(ranks):
    """The usual figures of one retrieval direction.

    Args:
        ranks: Integer array of shape `(num_queries,)`, 1-based, as from `query_ranks`.

    Returns:
        Dict with `recall_at_1`, `recall_at_5`, `recall_at_10` (fractions), `median_rank`,
        `mean_rank` (floats) and `count` (int, the number of queries).

    Raises:
        ValueError: As for `recall_at_k`.

    Example:

    >>> summarize([1, 1, 2, 30])["median_rank"]
    1.5
    """
    ranks = _check_ranks(ranks)
    summary = {f"recall_at_{k}": recall_at_k(ranks, k) for k in (1, 5, 10)}
    summary["median_rank"] = float(np.median(ranks))
    summary["mean_rank"] = float(np.mean(ranks))
    summary["count"] = int(ranks.size)
    return summary


def _check_pair(queries, gallery, block_size):
    if queries.dim != gallery.dim:
        raise ValueError(
            f"`{queries.name}` and `{gallery.name}` must have the same width. Received: "
            f"{queries.dim} and {gallery.dim}. Take both from the same pair of encoders."
        )
    if not len(gallery):
        raise ValueError(
            f"`{gallery.name}` must not be empty. Received: {gallery.name} of shape "
            f"{gallery.embeddings.shape}. Pass at least the matches of the queries."
        )
    is_integer = isinstance(block_size, (int, np.integer)) and not isinstance(block_size, bool)
    if not is_integer or not 1 <= block_size <= 65535:
        raise ValueError(
            "`block_size` must be an integer from 1 to 65535. Received: "
            f"block_size={block_size!r}. The default, 1024, suits most machines."
        )


def _check_every_item_matches(items, others):
    alone = np.flatnonzero(~np.isin(items.ids, others.ids))
    if alone.size:
        position = int(items.order[alone[0]])
        raise ValueError(
            f"Every row of `{items.name}` must have a match in `{others.name}`. Received: row "
            f"{position} with id {items.ids[alone[0]]} and no match ({alone.size} such rows in "
            f"all). Leave these rows out or add their matches."
        )


def _check_ranks(ranks):
    ranks = np.asarray(ranks)
    if ranks.ndim != 1 or not ranks.size or ranks.dtype.kind not in "iu" or ranks.min() < 1:
        raise ValueError(
            "`ranks` must be a non-empty vector of whole numbers from 1 on. Received: ranks of "
            f"shape {ranks.shape} and type {ranks.dtype}"
            + (f" with minimum {ranks.min()}" if ranks.size else "")
            + ". Pass the result of `query_ranks`."
        )
    return ranks
