from keras import ops

# The loss of what must not be chosen. Finite, for infinities would add up to NaN.
NEVER = -1e30


def advance_beam(beam, losses, swapped, swapped_losses, beam_size):
    """Chooses the partial texts, the lanes of a beam, with which a search continues.

    Lane `j` takes the text of the highest loss among lanes `0` to `j` and the swaps made in
    them, except for texts that an earlier lane took. So lane 0 is the greedy search, and a
    wider beam contains all lanes of a narrower one and is never weaker. The best text of
    all is always among the lanes: at the latest, the lane in which it was made takes it.

    Args:
        beam: Integer tensor `(lanes, batch, length)`, the present texts.
        losses: Float tensor `(lanes, batch)`.
        swapped: Integer tensor `(copies, lanes, batch, length)`, what was made of each
            lane.
        swapped_losses: Float tensor `(copies, lanes, batch)`, `-1e30` at a text
            that does not count.
        beam_size: Integer, the most lanes.

    Returns:
        Tuple of texts `(new lanes, batch, length)` and their losses
        `(new lanes, batch)`, `-1e30` where a lane found nothing new.
    """
    copies, lanes, _, length = swapped.shape
    pool = ops.concatenate([beam[None], swapped], axis=0)
    pool = ops.reshape(pool, ((copies + 1) * lanes, -1, length))
    # A present loss that is not a number is kept rather than bettered.
    losses = ops.where(ops.isnan(losses), float("inf"), losses)
    left = ops.concatenate([losses[None], swapped_losses], axis=0)
    left = ops.reshape(left, ((copies + 1) * lanes, -1))
    lane = ops.arange((copies + 1) * lanes)[:, None] % lanes
    texts, best_losses = [], []
    for index in range(min(beam_size, (copies + 1) * lanes)):
        open_losses = ops.where(lane <= index, left, NEVER)
        best = ops.argmax(open_losses, axis=0)
        text = ops.take_along_axis(pool, best[None, :, None], axis=0)
        texts.append(text[0])
        best_losses.append(ops.max(open_losses, axis=0))
        # The same text is reached on several ways, one for each order of the swaps.
        left = ops.where(ops.all(pool == text, axis=-1), NEVER, left)
    return ops.stack(texts), ops.stack(best_losses)


def best_of_beam(beam, losses):
    """Returns each example's text of the highest loss, the earliest lane's of equals.

    Args:
        beam: Integer tensor `(lanes, batch, length)`.
        losses: Float tensor `(lanes, batch)`.
    """
    best = ops.argmax(losses, axis=0)
    return ops.take_along_axis(beam, best[None, :, None], axis=0)[0]
