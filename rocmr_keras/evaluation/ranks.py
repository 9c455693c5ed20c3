"""Ranks and recall of cross-modal retrieval, in NumPy, without the similarity matrix or a sort."""

import numpy as np

# Scores closer than this (relative to the norms; cosine units for unit embeddings) are a tie.
# Encoders compute in float32: a smaller difference is rounding, not a preference.
TIE_TOLERANCE = 1e-6


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
    queries = _Items(queries, query_ids, "queries", "query_ids")
    gallery = _Items(gallery, gallery_ids, "gallery", "gallery_ids")
    _check_pair(queries, gallery, block_size)
    _check_every_item_matches(queries, gallery)
    ahead, _ = _count_ahead(queries, gallery, block_size, both=False)
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
    images = _Items(image_embeddings, image_ids, "image_embeddings", "image_ids")
    texts = _Items(text_embeddings, text_ids, "text_embeddings", "text_ids")
    _check_pair(images, texts, block_size)
    _check_every_item_matches(images, texts)
    _check_every_item_matches(texts, images)
    image_ahead, text_ahead = _count_ahead(images, texts, block_size, both=True)
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


class _Items:
    """Embeddings with ids, read in the order of the ids.

    In this order the matches of an item are neighbours, so most blocks contain none. The
    embeddings are reordered a block at a time, never copied as a whole.
    """

    def __init__(self, embeddings, ids, name, ids_name):
        self.name = name
        self.embeddings = _check_embeddings(embeddings, name)
        ids = _check_ids(ids, ids_name, len(self.embeddings), name)
        self.order = np.argsort(ids, kind="stable")
        self.ids = ids[self.order]
        self.norms = _norms(self.embeddings, name)[self.order]

    def __len__(self):
        return len(self.ids)

    @property
    def dim(self):
        return self.embeddings.shape[1]

    def read(self, rows):
        return self.embeddings[self.order[rows]].astype(np.float32, copy=False)

    def restore(self, values):
        """Values in the order of the ids, put back into the order of the caller."""
        restored = np.empty(len(self), dtype=np.int64)
        restored[self.order] = values
        return restored


class _Block:
    """The scores of some queries and some gallery items."""

    def __init__(self, queries, gallery, rows, columns):
        self.queries, self.gallery = queries.read(rows), gallery.read(columns)
        self.scores = self.queries @ self.gallery.T
        self.different = _different(queries.ids[rows], gallery.ids[columns])
        self.exact_scores = None

    def ahead(self, cuts, slack):
        """Mask of the non-matching pairs whose score reaches `cuts` (broadcastable)."""
        ahead = self.scores >= (cuts - slack).astype(np.float32)
        if self.different is not None:
            ahead &= self.different
        below = self.scores <= (cuts + slack).astype(np.float32)
        doubtful = np.flatnonzero(ahead & below)
        # With that many pairs, gathering their rows takes as much memory as the block itself.
        if doubtful.size > self.scores.size // self.queries.shape[1]:
            decided = self._exact() >= cuts
            return decided if self.different is None else decided & self.different
        rows, columns = np.divmod(doubtful, self.scores.shape[1])
        exact = _paired_scores(self.queries[rows], self.gallery[columns])
        ahead[rows, columns] = exact >= np.broadcast_to(cuts, ahead.shape)[rows, columns]
        return ahead

    def _exact(self):
        if self.exact_scores is None:
            self.exact_scores = self.queries.astype(np.float64) @ self.gallery.astype(np.float64).T
        return self.exact_scores


def _different(row_ids, column_ids):
    """Mask of the non-matching pairs of two sorted blocks of ids; None if all are."""
    if row_ids[-1] < column_ids[0] or column_ids[-1] < row_ids[0]:
        return None
    return row_ids[:, None] != column_ids


def _paired_scores(queries, items):
    return np.einsum("pd,pd->p", queries.astype(np.float64), items.astype(np.float64))


def _count_ahead(queries, gallery, block_size, both):
    """Number of non-matching items ahead of each query's and each gallery item's best match."""
    best_of_query, best_of_item = _best_matches(queries, gallery, block_size)
    query_cuts = best_of_query - _tolerance(queries, gallery)
    item_cuts = best_of_item - _tolerance(gallery, queries)
    query_slack, item_slack = _rounding_error(queries, gallery), _rounding_error(gallery, queries)
    query_counts = np.zeros(len(queries), dtype=np.int64)
    item_counts = np.zeros(len(gallery), dtype=np.int64)
    for columns in _slices(0, len(gallery), block_size):
        for rows in _slices(0, len(queries), block_size):
            block = _Block(queries, gallery, rows, columns)
            ahead = block.ahead(query_cuts[rows, None], query_slack[rows, None])
            query_counts[rows] += _count(ahead, axis=1)
            if both:
                ahead = block.ahead(item_cuts[columns], item_slack[columns])
                item_counts[columns] += _count(ahead, axis=0)
    return query_counts, item_counts


def _best_matches(queries, gallery, block_size, strip=64):
    """Float64 score of the best match of each query and of each gallery item (-inf: none)."""
    best_of_query = np.full(len(queries), -np.inf)
    best_of_item = np.full(len(gallery), -np.inf)
    for rows in _slices(0, len(queries), strip):
        row_ids, left = queries.ids[rows], queries.read(rows).astype(np.float64)
        start = np.searchsorted(gallery.ids, row_ids[0], "left")
        stop = np.searchsorted(gallery.ids, row_ids[-1], "right")
        for columns in _slices(start, stop, block_size):
            scores = left @ gallery.read(columns).astype(np.float64).T
            scores[row_ids[:, None] != gallery.ids[columns]] = -np.inf
            best_of_query[rows] = np.maximum(best_of_query[rows], scores.max(axis=1))
            best_of_item[columns] = np.maximum(best_of_item[columns], scores.max(axis=0))
    return best_of_query, best_of_item


def _tolerance(items, others):
    return TIE_TOLERANCE * items.norms * others.norms.max(initial=0.0)


def _rounding_error(items, others):
    """Bound of the error of a float32 dot product, in any order of summation.

    `dim` units of rounding times the norms, a few more for the thresholds, and the underflow.

    Reference:
        Higham, "Accuracy and Stability of Numerical Algorithms", 2nd edition, section 3.1.
    """
    unit = np.finfo(np.float32).eps / 2
    norms = items.norms * others.norms.max(initial=0.0)
    return 1.01 * (items.dim + 8) * (unit * norms + np.finfo(np.float32).tiny)


def _count(mask, axis):
    # Summing bytes into 16 bits is four times as fast as `np.count_nonzero(mask, axis)`.
    return np.sum(mask.view(np.uint8), axis=axis, dtype=np.uint16)


def _slices(start, stop, size):
    return [slice(begin, min(begin + size, stop)) for begin in range(start, stop, size)]


def _norms(embeddings, name):
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.sqrt(np.einsum("nd,nd->n", embeddings, embeddings, dtype=np.float64))
    # The product of two larger norms would leave the range of float32.
    bad = np.flatnonzero(~(norms < 1e18))
    if bad.size:
        raise ValueError(
            f"`{name}` must be finite, with norms below 1e18. Received: a norm of "
            f"{norms[bad[0]]} in row {bad[0]} ({bad.size} such rows in all). Look at the "
            "encoder's output for these items: a rank would hide it."
        )
    return norms


def _check_embeddings(embeddings, name):
    embeddings = np.asarray(embeddings)
    if embeddings.dtype.name == "bfloat16":
        embeddings = embeddings.astype(np.float32)
    if embeddings.ndim != 2 or embeddings.shape[1] == 0 or embeddings.dtype.kind not in "fiu":
        raise ValueError(
            f"`{name}` must be a real array of shape `(count, dim)`. Received: {name} of shape "
            f"{embeddings.shape} and type {embeddings.dtype}. Pass one embedding a row."
        )
    return embeddings


def _check_ids(ids, ids_name, count, name):
    ids = np.asarray(ids)
    # An empty list is an array of floats to NumPy.
    if ids.shape != (count,) or (ids.dtype.kind not in "iu" and ids.size):
        raise ValueError(
            f"`{ids_name}` must be whole numbers, one for each row of `{name}`. Received: "
            f"{ids_name} of shape {ids.shape} and type {ids.dtype} for {count} rows. Equal ids "
            "on the two sides mean a match."
        )
    return ids.astype(np.int64)


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
