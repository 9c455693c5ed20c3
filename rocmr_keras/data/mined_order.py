import numpy as np

# Rows of similarities that are computed at once.
_BLOCK = 64


class MinedOrder:
    """An `EpochOrder` in which pairs that are easily confused stand together.

    Examples are taken in the order of the epoch. Each that is not placed yet begins a group, and
    brings those of the others that are nearest to it: two pairs are as near as image and caption
    of the one are to caption and image of the other. Groups come in a random order, so that a
    batch has several. Like the order that it is made of, it is a function of seed and epoch.

    Args:
        order: `EpochOrder`.
        ids: Integer array, the id of each image.
        embeddings: Tuple of two float arrays with rows of length 1, of the images and of the
            captions.
        group_size: Integer, the examples of a group, at least 2.
        skip_share: Float in [0, 1), the share of all others, the nearest ones, that a group does
            without: what is nearest may well be right, whatever its id.

    Call arguments:
        epoch: Integer, counted from 0.

    Returns:
        An int32 array `(len(order), 2)`, as of `EpochOrder`.

    Raises:
        ValueError: If there is not an embedding for each image and caption, or an argument is
            out of its range.
    """

    def __init__(self, order, ids, embeddings, group_size, skip_share):
        self.order = order
        self.ids = np.asarray(ids)
        self.images, self.texts = (np.asarray(side, "float32") for side in embeddings)
        self.group_size = group_size
        self.skip_share = skip_share
        if group_size < 2 or not 0 <= skip_share < 1:
            raise ValueError(
                "`group_size` must be at least 2, and `skip_share` in [0, 1). Received: "
                f"group_size={group_size}, skip_share={skip_share}. 8 and 0.01 are a start."
            )

    def __len__(self):
        return len(self.order)

    @property
    def seed(self):
        """Integer, that of the order."""
        return self.order.seed

    def __call__(self, epoch):
        rows = self.order(epoch)
        groups = list(self._groups(rows))
        shuffled = np.random.default_rng([self.seed, epoch, 1]).permutation(len(groups))
        return rows[np.concatenate([groups[place] for place in shuffled])]

    def _groups(self, rows):
        ids = self.ids[rows[:, 0]]
        images, texts = self.images[rows[:, 0]], self.texts[rows[:, 1]]
        is_left = np.ones(len(rows), dtype=bool)
        for start in range(0, len(rows), _BLOCK):
            seeds = np.arange(start, min(start + _BLOCK, len(rows)))
            seeds = seeds[is_left[seeds]]
            similarities = images[seeds] @ texts.T + texts[seeds] @ images.T
            for seed, near in zip(seeds, similarities):
                # A group before it may have taken it.
                if is_left[seed]:
                    group = np.append(seed, self._nearest(seed, near, ids, is_left))
                    is_left[group] = False
                    yield group

    def _nearest(self, seed, near, ids, is_left):
        """Returns up to `group_size - 1` examples, of other ids than the seed and each other."""
        near[ids == ids[seed]] = -np.inf
        skipped = int(self.skip_share * np.isfinite(near).sum())
        if skipped:
            near[np.argpartition(-near, skipped)[:skipped]] = -np.inf
        near[~is_left] = -np.inf
        # Those of one id would else take all places.
        most = 4 * self.group_size
        found = _first_of_each_id(near, ids, most)
        if len(found) < self.group_size - 1:
            found = _first_of_each_id(near, ids, len(near))
        return found[: self.group_size - 1]


def _first_of_each_id(near, ids, most):
    """Returns the nearest example of each id, nearest first, among the `most` nearest ones."""
    chosen = np.arange(len(near))
    if most < len(near):
        chosen = np.sort(np.argpartition(-near, most)[:most])
    chosen = chosen[np.isfinite(near[chosen])]
    chosen = chosen[np.argsort(-near[chosen], kind="stable")]
    _, first = np.unique(ids[chosen], return_index=True)
    return chosen[np.sort(first)]
