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

    Call arguments:
        epoch: Integer.
        step: Integer.

    Returns:
        The dict of arrays that `rocmr_keras.data.batches` describes.
    """

    def __init__(self, packed, order, batch_size, shift=None, candidates=None):
        self.packed = packed
        self.batch_size = batch_size
        self.shift = shift
        self.candidates = candidates
        # Two: batches of the next epoch are fetched while this one ends.
        self._rows_of = functools.lru_cache(2)(order)

    def __call__(self, epoch, step):
        first = step * self.batch_size
        images, captions = self._rows_of(epoch)[first : first + self.batch_size].T
        pixels = np.asarray(self.packed.images[images])
        if self.shift is not None:
            pixels = self.shift.apply_at(pixels, epoch, first)
        return {
            "images": to_float(pixels),
            **{name: rows[captions] for name, rows in self.packed.tokens.items()},
            "image_ids": self.packed.image_ids[images],
            **(self.candidates(epoch, captions) if self.candidates else {}),
        }
