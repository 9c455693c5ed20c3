"""Which items are right for which query: by equal ids, or by a list for each query."""

import numpy as np


class Relevance:
    """The ground truth of one retrieval direction, many to many.

    Build it with `from_ids` or `from_lists`. A query without a right item is not
    counted: it has no rank.

    Args:
        starts: Integer array `(queries + 1,)`; the right items of query `i` are
            `items[starts[i] : starts[i + 1]]`.
        items: Integer array, positions in the gallery, ascending for each query.
        num_items: Integer, the size of the gallery.
        exclude_self: Boolean, whether query and item of equal position are the same thing,
            so that the item is neither right nor wrong. Defaults to `False`.
    """

    def __init__(self, starts, items, num_items, exclude_self=False):
        self.starts = starts
        self.items = items
        self.num_items = num_items
        self.exclude_self = exclude_self

    @classmethod
    def from_ids(cls, query_ids, item_ids, exclude_self=False):
        """An item is right for the queries of equal id.

        Args:
            query_ids: Integer array `(queries,)`.
            item_ids: Integer array `(items,)`.
            exclude_self: Boolean, for queries that are themselves the gallery. Defaults to
                `False`.

        Returns:
            A `Relevance`.
        """
        query_ids, item_ids = np.asarray(query_ids), np.asarray(item_ids)
        order = np.argsort(item_ids, kind="stable")
        first = np.searchsorted(item_ids[order], query_ids, "left")
        counts = np.searchsorted(item_ids[order], query_ids, "right") - first
        starts = _starts(counts)
        within = np.arange(starts[-1]) - np.repeat(starts[:-1], counts)
        items = order[np.repeat(first, counts) + within]
        if not exclude_self:
            return cls(starts, items, len(item_ids))
        queries = np.repeat(np.arange(len(query_ids)), counts)
        others = items != queries
        starts = _starts(np.bincount(queries[others], minlength=len(query_ids)))
        return cls(starts, items[others], len(item_ids), exclude_self=True)

    @classmethod
    def from_lists(cls, lists, num_items, name="ground_truth"):
        """The right items of each query are listed.

        Args:
            lists: List of integer arrays, one for each query: positions in the gallery. An
                empty one leaves the query out.
            num_items: Integer, the size of the gallery.
            name: String, what the message calls the lists. Defaults to `"ground_truth"`.

        Returns:
            A `Relevance`.

        Raises:
            ValueError: If a list holds something else than positions, or one twice.
        """
        arrays = [_check_list(items, num_items, place, name) for place, items in enumerate(lists)]
        starts = _starts(np.array([len(items) for items in arrays], dtype=np.int64))
        items = np.concatenate([np.zeros(0, np.int64), *arrays])
        return cls(starts, items, num_items)

    def __len__(self):
        return len(self.starts) - 1

    @property
    def counts(self):
        """Integer array `(queries,)`, the right items of each query."""
        return np.diff(self.starts)

    @property
    def counted(self):
        """Integer array, the queries that have a right item."""
        return np.flatnonzero(self.counts)

    def transpose(self):
        """Returns the `Relevance` of the items as queries."""
        queries = np.repeat(np.arange(len(self)), self.counts)
        order = np.argsort(self.items, kind="stable")
        starts = _starts(np.bincount(self.items, minlength=self.num_items))
        return Relevance(starts, queries[order], len(self), self.exclude_self)

    def only(self, queries):
        """Returns the `Relevance` in which the other queries have no right item."""
        kept = np.zeros(len(self), dtype=bool)
        kept[queries] = True
        items = self.items[np.repeat(kept, self.counts)]
        starts = _starts(np.where(kept, self.counts, 0))
        return Relevance(starts, items, self.num_items, self.exclude_self)

    def take(self, queries):
        """Returns the rows of some queries, an array of pairs `(row, item)` of two arrays."""
        counts = self.counts[queries]
        rows = np.repeat(np.arange(len(queries)), counts)
        within = np.arange(len(rows)) - np.repeat(_starts(counts)[:-1], counts)
        return rows, self.items[np.repeat(self.starts[queries], counts) + within]

    def not_wrong(self, queries):
        """Returns pairs like `take`: the right items, and each query itself if excluded."""
        rows, items = self.take(queries)
        if not self.exclude_self:
            return rows, items
        rows, items = np.append(rows, np.arange(len(queries))), np.append(items, queries)
        order = np.argsort(rows, kind="stable")
        return rows[order], items[order]

    def mask(self, queries):
        """Returns a boolean array `(len(queries), num_items)`, true where an item is right."""
        mask = np.zeros((len(queries), self.num_items), dtype=bool)
        mask[self.take(np.asarray(queries))] = True
        return mask

    def ground_truth(self, queries):
        """Returns the masks that a batch of queries is attacked with."""
        masks = {"positives": self.mask(queries)}
        if self.exclude_self:
            masks["excluded"] = self.self_mask(queries)
        return masks

    def self_mask(self, queries):
        """Returns a boolean array like `mask`, true where the item is the query itself."""
        return np.asarray(queries)[:, None] == np.arange(self.num_items)


def _starts(counts):
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _check_list(items, num_items, place, name):
    items = np.asarray(items)
    whole = items.ndim == 1 and (items.dtype.kind in "iu" or not items.size)
    inside = whole and (not items.size or (0 <= items.min() and items.max() < num_items))
    if not inside or len(np.unique(items)) != items.size:
        raise ValueError(
            f"`{name}[{place}]` must hold different positions in the gallery, from 0 to "
            f"{num_items - 1}. Received: {items!r:.80}. List the right items of each query, "
            "none twice; an empty list leaves a query out."
        )
    return np.sort(items).astype(np.int64)
