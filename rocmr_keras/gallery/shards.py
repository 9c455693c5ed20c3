import numbers

import keras
import numpy as np

from rocmr_keras.gallery.fixed_order import pair_scores
from rocmr_keras.gallery.fixed_order import score_error

_BLOCK_SCORES = 2**24


def search_shards(shards, queries, k):
    """Searches a gallery that lies in several parts, exactly.

    The same as a search of all parts in one, to the last bit: each part gives its own best
    `k`, and `merge_top_k` the best of these. Parts may be searched on several machines instead,
    with `search_by_text` of an artefact each, and merged by the same function.

    Args:
        shards: List of `Gallery`, of one width.
        queries: Float array or tensor `(n, dim)`, finite.
        k: Integer, at least 1.

    Returns:
        Dict of arrays, see `Gallery.search`; `rows` counts through the shards one after the
        other.

    Raises:
        ValueError: If `k` is no integer from 1 on, there is no shard, a width is another, or a
            query is not finite.
    """
    # Those of PyTorch bring their gradients.
    queries = keras.ops.convert_to_numpy(queries)
    _check(shards, queries, k)
    queries = queries.astype("float32")
    parts, start = [], 0
    for shard in shards:
        scores, rows = _search(shard, queries, min(k, len(shard)))
        names = np.array(shard.names, dtype=object)[rows]
        parts.append(
            {"ids": shard.ids[rows], "scores": scores, "names": names, "rows": rows + start}
        )
        start += len(shard)
    return merge_top_k(parts, k)


def merge_top_k(parts, k):
    """Merges the hits of several shards into the best `k`, exactly.

    Args:
        parts: List of dicts of arrays `(n, hits)`, best first, all with the same keys, among
            them `scores`. Of equal scores those of the earlier part come first.
        k: Integer, at least 1.

    Returns:
        Dict of arrays `(n, min(k, all hits))`.

    Raises:
        ValueError: If there is no part or the keys differ.
    """
    if not parts or any(set(part) != set(parts[0]) for part in parts):
        raise ValueError(
            "`parts` must be one or more dicts with the same keys. Received: keys "
            f"{[sorted(part) for part in parts]}. Ask every shard for the same outputs."
        )
    merged = {key: np.concatenate([part[key] for part in parts], axis=1) for key in parts[0]}
    order = np.argsort(-merged["scores"], axis=1, kind="stable")[:, :k]
    return {key: np.take_along_axis(value, order, axis=1) for key, value in merged.items()}


def _search(shard, queries, k):
    vectors = shard.vectors
    block = max(1, _BLOCK_SCORES // len(vectors))
    margins = 2 * score_error(vectors.shape[1]) * shard.largest_norm
    margins = margins * np.linalg.norm(queries, axis=1)
    scores = np.empty((len(queries), k), "float32")
    rows = np.empty((len(queries), k), "int64")
    for start in range(0, len(queries), block):
        near = queries[start : start + block] @ vectors.T
        worst = near.shape[1] - k
        limits = np.partition(near, worst, axis=1)[:, worst]
        for place, (row, limit) in enumerate(zip(near, limits), start):
            # The product misjudges near ties: all of them are scored again, pair by pair.
            candidates = np.flatnonzero(row >= limit - margins[place])
            exact = pair_scores(queries[place], vectors[candidates])
            best = np.argsort(-exact, kind="stable")[:k]
            scores[place], rows[place] = exact[best], candidates[best]
    return scores, rows


def _check(shards, queries, k):
    if not isinstance(k, numbers.Integral) or k < 1:
        raise ValueError(
            f"`k` must be 1 or more, an integer. Received: k={k!r}. Ask for at least one hit."
        )
    if queries.dtype.kind not in "iuf" or not np.isfinite(queries).all():
        raise ValueError(
            "`queries` must be finite numbers. Received: NaN, infinity or queries of type "
            f"{queries.dtype}. Texts are encoded first: `model.encode_texts`."
        )
    widths = sorted({shard.vectors.shape[1] for shard in shards})
    if queries.ndim != 2 or widths != [queries.shape[1]]:
        raise ValueError(
            "`queries` must be an array (n, dim) of the width of every shard. Received: queries "
            f"of shape {queries.shape}, shards of width {widths}. Use one model for all."
        )
