import numpy as np


class EpochOrder:
    """The examples of an epoch, as a function of the seed and the epoch alone.

    Written in NumPy, apart from any pipeline, so that an epoch is the same on
    every backend and on every run, and can be computed again for a resumed
    one.

    Args:
        split: `rocmr_keras.data.Split`.
        captions: `"one"`: each image once, with one of its captions drawn at random;
            `"all"`: every pair of an image and a caption of its.
        shuffle: Boolean, whether each epoch has an order of its own.
        seed: Integer.

    Call arguments:
        epoch: Integer, counted from 0.

    Returns:
        An int32 array `(len(order), 2)`: image index and caption index of each example.

    Raises:
        ValueError: If `captions` is unknown.
    """

    def __init__(self, split, captions="one", shuffle=True, seed=0):
        if captions not in ("one", "all"):
            raise ValueError(
                "`captions` must be 'one' or 'all'. "
                f"Received: captions={captions!r}. 'one' draws one caption an image anew each "
                "epoch, 'all' pairs each image with every caption of its."
            )
        self.captions = captions
        self.shuffle = shuffle
        self.seed = seed
        # Captions sorted by id, so that those of an image are one run of them.
        self._sorted = np.argsort(split.caption_image_ids, kind="stable")
        ids = split.caption_image_ids[self._sorted]
        self._first = np.searchsorted(ids, split.image_ids, side="left")
        self._count = np.searchsorted(ids, split.image_ids, side="right") - self._first

    def __len__(self):
        return len(self._count) if self.captions == "one" else int(self._count.sum())

    def __call__(self, epoch):
        rng = np.random.default_rng([self.seed, epoch])
        images, offsets = self._draw(rng) if self.captions == "one" else self._enumerate()
        rows = np.stack([images, self._sorted[self._first[images] + offsets]], axis=1)
        if self.shuffle:
            rows = rows[rng.permutation(len(rows))]
        return rows.astype("int32")

    def _draw(self, rng):
        return np.arange(len(self._count)), rng.integers(0, self._count)

    def _enumerate(self):
        images = np.repeat(np.arange(len(self._count)), self._count)
        starts = np.cumsum(self._count) - self._count
        return images, np.arange(len(images)) - starts[images]
