import functools

import numpy as np

from rocmr_keras.data.images import to_float


class BatchReader:
    """Gathers batches from a pack: what is in one is a function of epoch and step.

    Args:
        packed: `rocmr_keras.data.PackedSplit`.
        order: `EpochOrder` of it.
        batch_size: Integer.
        shift: Object with `apply_at(images, epoch, position)`, for uint8 pixels, or `None`.
        candidates: Function of `candidate_maker`, or `None`.
        shard: Tuple of two integers, which of how many equal parts of each batch is read.
            Defaults to `(0, 1)`, the whole.
        dtype: `"float32"` or `"uint8"`, of the images. Defaults to `"float32"`.

    Call arguments:
        epoch: Integer.
        step: Integer.
        features: Dict from `"images"` or `"texts"` to a float array with a row for each image
            or caption, what a side is given by in place of pixels or beside tokens. Defaults
            to `None`.

    Returns:
        The dict of arrays that `rocmr_keras.data.batches` describes; with `features` also
        `image_features`, and then no `images`, or `text_features`.
    """

    def __init__(
        self,
        packed,
        order,
        batch_size,
        shift=None,
        candidates=None,
        shard=(0, 1),
        dtype="float32",
    ):
        self.packed = packed
        self.batch_size = batch_size
        self.shift = shift
        self.candidates = candidates
        self.shard = shard
        self.dtype = dtype
        self._examples = len(order)
        # Two: batches of the next epoch are fetched while this one ends.
        self._rows_of = functools.lru_cache(2)(order)

    def __call__(self, epoch, step, features=None):
        images, captions = self.rows(epoch, step).T
        features = features or {}
        found = {
            **{name: rows[captions] for name, rows in self.packed.tokens.items()},
            "image_ids": self.packed.image_ids[images],
            **(self.candidates(epoch, captions) if self.candidates else {}),
        }
        if "texts" in features:
            found["text_features"] = features["texts"][captions]
        if "images" in features:
            return {"image_features": features["images"][images], **found}
        return {"images": self._read_pixels(images, epoch, step), **found}

    def rows(self, epoch, step):
        """Returns the int32 array `(batch, 2)` of images and captions of a step."""
        first, last = self._places(step)
        return self._rows_of(epoch)[first:last]

    def load(self, side, rows):
        """Returns `"images"` or `"texts"` of some rows of the pack as a batch dict, as they are."""
        if side == "images":
            return {"images": to_float(np.asarray(self.packed.images[rows]))}
        return {name: values[rows] for name, values in self.packed.tokens.items()}

    def _read_pixels(self, images, epoch, step):
        pixels = np.asarray(self.packed.images[images])
        if self.shift is not None:
            pixels = self.shift.apply_at(pixels, epoch, self._places(step)[0])
        return pixels if self.dtype == "uint8" else to_float(pixels)

    def _places(self, step):
        """Returns where the examples of a step begin and end in an epoch."""
        first = step * self.batch_size
        size = min(self.batch_size, self._examples - first)
        index, count = self.shard
        return first + size * index // count, first + size * (index + 1) // count
