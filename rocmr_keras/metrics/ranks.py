"""Ranks and recall of cross-modal retrieval, in NumPy: no similarity matrix, no sort."""

import numpy as np

from rocmr_keras.metrics.embedding_blocks import Items
from rocmr_keras.metrics.embedding_blocks import check_pair
from rocmr_keras.metrics.rank_counting import Levels
from rocmr_keras.metrics.rank_counting import count_ahead
from rocmr_keras.metrics.relevance import Relevance


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
            scores tie, and some 60 bytes for each matching pair. Defaults to `1024`.

    Returns:
        Int64 array of shape `(num_queries,)`, 1 for the first place.

    Raises:
        ValueError: A wrong shape or type, a NaN or an infinity, an empty gallery, or a query
            without a matching item.

    Example:

    >>> query_ranks([[1.0, 0.0]], [[0.6, 0.8], [0.8, 0.6]], [7], [7, 3])
    array([2])
    """
    queries, gallery = Items(queries, "queries"), Items(gallery, "gallery")
    query_ids = _check_ids(query_ids, "query_ids", queries)
    gallery_ids = _check_ids(gallery_ids, "gallery_ids", gallery)
    check_pair(queries, gallery)
    relevance = _match(queries, gallery, query_ids, gallery_ids)
    levels = Levels(queries, gallery, relevance, depth=1)
    count_ahead(queries, gallery, [levels], block_size)
    return levels.ahead[0] + 1


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
    images = Items(image_embeddings, "image_embeddings")
    texts = Items(text_embeddings, "text_embeddings")
    image_ids = _check_ids(image_ids, "image_ids", images)
    text_ids = _check_ids(text_ids, "text_ids", texts)
    check_pair(images, texts)
    relevance = _match(images, texts, image_ids, text_ids)
    reverse = _match(texts, images, text_ids, image_ids)
    forward = Levels(images, texts, relevance, depth=1)
    backward = Levels(texts, images, reverse, axis=1, depth=1)
    count_ahead(images, texts, [forward, backward], block_size)
    return {"image_to_text": forward.ahead[0] + 1, "text_to_image": backward.ahead[0] + 1}


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
        `mean_rank` (floats) and `count` (integer, the number of queries).

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


def _match(queries, gallery, query_ids, gallery_ids):
    relevance = Relevance.from_ids(query_ids, gallery_ids)
    alone = np.flatnonzero(relevance.counts == 0)
    if alone.size:
        raise ValueError(
            f"Every row of `{queries.name}` must have a match in `{gallery.name}`. Received: row "
            f"{alone[0]} with id {query_ids[alone[0]]} and no match ({alone.size} such rows in "
            f"all). Leave these rows out or add their matches."
        )
    return relevance


def _check_ids(ids, ids_name, items):
    ids = np.asarray(ids)
    # An empty list is an array of floats to NumPy.
    if ids.shape != (len(items),) or (ids.dtype.kind not in "iu" and ids.size):
        raise ValueError(
            f"`{ids_name}` must be whole numbers, one for each row of `{items.name}`. Received: "
            f"{ids_name} of shape {ids.shape} and type {ids.dtype} for {len(items)} rows. Equal "
            "ids on the two sides mean a match."
        )
    return ids.astype(np.int64)


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
