"""Sides of a batch that are the same in every epoch: encoded once."""

import keras
import numpy as np
from keras import ops

from rocmr_keras.backend import encodes_alone
from rocmr_keras.backend import gather_numbers
from rocmr_keras.backend import predict_batch
from rocmr_keras.backend import process
from rocmr_keras.padded_batches import in_batches

_MOST_BYTES = 2**30
# How often a row must be drawn, on average, for its features to be kept.
_OFTEN = 1.5


class FrozenPart(keras.Model):
    """Runs the frozen part of one side of a dual encoder, compiled.

    Args:
        model: A `DualEncoder`.
        side: `"images"` or `"texts"`.

    Call arguments:
        batch: Dict of the inputs of that side.

    Returns:
        Dict with `features`, float32 `(batch, width)`.
    """

    def __init__(self, model, side):
        super().__init__(autocast=False)
        self.dual_encoder = model
        self.side = side
        self.built = True
        self.compile()

    def call(self, batch):
        features = self.dual_encoder.frozen_features(batch, self.side)
        return {"features": ops.cast(features, "float32")}


def frozen_sides(model, terms):
    """Returns the sides that training needs no more of than constant features.

    Args:
        model: A `DualEncoder`. Another model may lack `is_constant`, and has none.
        terms: A `Terms`: a side that it attacks, or measures to a reference, has to be
            encoded from the inputs on.
    """
    is_constant = getattr(model, "is_constant", lambda side: False)

    def needs_features_only(side):
        is_used = terms.uses(f"{side[:-1]}_embeddings")
        return is_used and not terms.attacks(side) and not terms.refers(side)

    return [side for side in ("images", "texts") if needs_features_only(side) and is_constant(side)]


def encode_once(model, terms, data, start, stop, verbose):
    """Encodes what is drawn of the frozen sides, where that takes less time than each step's.

    Args:
        model: A `DualEncoder`.
        terms: A `Terms`.
        data: A `rocmr_keras.data.Batches`, or something with its `constant_rows` and
            `load`; other data brings its inputs in every step.
        start: Integer, the first step that is taken, counted over epochs.
        stop: Integer, the step after the last one.
        verbose: Whether to show progress.

    Returns:
        Dict from a side to a float32 array `(rows, width)`, NaN where a row is not drawn.
    """
    found, knows_rows = {}, hasattr(data, "constant_rows")
    for side in frozen_sides(model, terms) if knows_rows and encodes_alone() else ():
        # Each process draws as many rows, and needs some that others draw too.
        drawn = gather_numbers(data.constant_rows(side, start, stop)).ravel()
        rows, count = np.unique(drawn), 1 + max(drawn, default=0)
        if len(drawn) >= _OFTEN * max(len(rows), 1):
            features = _encode(model, side, data, rows, verbose)
            if count * features.shape[1] * 4 <= _MOST_BYTES:
                found[side] = np.full((count, features.shape[1]), np.nan, "float32")
                found[side][rows] = features
    return found


def _encode(model, side, data, rows, verbose):
    encoder = FrozenPart(model, side)
    if verbose:
        print(f"The frozen tower encodes {len(rows)} {side} once:")
    index, count = process()
    # Every process encodes as many.
    own = np.resize(rows, (-(-len(rows) // count), count))[:, index]

    def step(chosen):
        return predict_batch(encoder, data.load(side, own[chosen]))

    # As large as the batches of training, which the devices can share.
    found = in_batches(step, len(own), data.batch_size, int(bool(verbose)))["features"]
    gathered = np.swapaxes(gather_numbers(found), 0, 1)
    return gathered.reshape(-1, found.shape[1])[: len(rows)]
