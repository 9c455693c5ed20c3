from keras import ops

from rocmr_keras.attacks.tokens.beam import NEVER
from rocmr_keras.attacks.tokens.swap_masks import columns


class Swaps:
    """Ranks the swaps of single tokens in a batch of texts by their first-order gain.

    The gain is estimated from a gradient as in HotFlip, `(e_new - e_old) . gradient`. Only
    `shortlist` computes it for the whole vocabulary, `(batch, length, vocabulary_size)`. The
    other methods work on the few tokens per text that it returns.

    Args:
        token_ids: Integer tensor `(batch, length)`.
        positions: Boolean tensor `(batch, length)`, the positions that may be replaced.
        vocabulary: A `Vocabulary`.
        swap_mask: A `SwapMask`, which swaps are allowed, or `None`. Defaults to `None`.
        match_length: Boolean, whether a gain is estimated with the new embedding at the length of
            the old one. Defaults to `False`.
    """

    def __init__(self, token_ids, positions, vocabulary, swap_mask=None, match_length=False):
        self.token_ids = token_ids
        self.positions = positions
        self.vocabulary = vocabulary
        self.swap_mask = swap_mask
        self.mask = None
        self.table = ops.cast(vocabulary.table, "float32")
        self.match_length = match_length
        self.old, self.lengths = self._rows(token_ids)

    def shortlist(self, gradient, count):
        """Returns tokens that hold the best `count` swaps of each text.

        Args:
            gradient: Float tensor `(batch, length, dim)`, of the loss by the embeddings.
            count: Integer.

        Returns:
            Integer tensor `(batch, n)`, `n` at least `count` if there are as many tokens.
        """
        size = self.table.shape[0]
        # A token of the text gains nothing where it stands, and must not displace another.
        few = min(count + self.token_ids.shape[1], size)
        gradient = gradient * self.lengths
        offsets = ops.where(self.positions, -self._gains_of_old(gradient), NEVER)
        table = _normalized(self.table)[0] if self.match_length else self.table
        gains = ops.matmul(gradient, ops.transpose(table)) + offsets[..., None]
        if self.swap_mask is not None:
            self.mask = self.swap_mask.mask(self.token_ids, self.vocabulary)
            gains = ops.where(self.mask, gains, NEVER)
        best = ops.where(self.vocabulary.allowed, ops.max(gains, axis=1), NEVER)
        return ops.cast(ops.top_k(best, few)[1], self.token_ids.dtype)

    def gains(self, gradient, tokens):
        """Estimates what each single swap adds to the loss, to the first order.

        Args:
            gradient: Float tensor `(batch, length, dim)`.
            tokens: Integer tensor `(batch, n)`, which may be written.

        Returns:
            Float tensor `(batch, length, n)`: `(e_new - e_old) . gradient`, and `-1e30` for a
            swap that is not allowed or changes nothing.
        """
        gradient = gradient * self.lengths
        new, _ = self._rows(tokens)
        gains = ops.matmul(gradient, ops.transpose(new, (0, 2, 1)))
        gains = gains - self._gains_of_old(gradient)[..., None]
        allowed = ops.take(ops.convert_to_tensor(self.vocabulary.allowed), tokens, axis=0)
        allowed = ops.logical_and(allowed[:, None], tokens[:, None] != self.token_ids[..., None])
        allowed = ops.logical_and(allowed, self.positions[..., None])
        if self.mask is not None:  # The whole one, which `shortlist` made.
            allowed = ops.logical_and(allowed, columns(self.mask, self.token_ids, tokens))
        elif self.swap_mask is not None:
            among = self.swap_mask.mask_among(self.token_ids, tokens, self.vocabulary)
            allowed = ops.logical_and(allowed, among)
        return ops.where(allowed, gains, NEVER)

    def best(self, gradient, tokens, count, but=None):
        """Returns the swaps that gain the most.

        Args:
            gradient: Float tensor `(batch, length, dim)`.
            tokens: Integer tensor `(batch, n)`, which may be written.
            count: Integer, how many; fewer if there are no more.
            but: Tuple of position and token, integer tensors `(batch,)`, a swap to leave out, or
                `None`. Defaults to `None`.

        Returns:
            Tuple of position and token, integer tensors `(copies, batch)`, and a boolean tensor of
            the same shape, false where no swap was left.
        """
        gains = self.gains(gradient, tokens)
        length, few = gains.shape[1:]
        if but is not None:
            here = ops.arange(length, dtype=tokens.dtype) == but[0][:, None]
            known = ops.logical_and(here[..., None], (tokens == but[1][:, None])[:, None])
            gains = ops.where(known, NEVER, gains)
        top, index = ops.top_k(ops.reshape(gains, (-1, length * few)), min(count, length * few))
        token = ops.take_along_axis(tokens, index % few, axis=-1)
        position = ops.cast(index // few, tokens.dtype)
        return ops.transpose(position), ops.transpose(token), ops.transpose(top) > NEVER / 2

    def write(self, position, token):
        """Returns the texts `(copies, batch, length)` with one swap made in each."""
        places = ops.arange(self.token_ids.shape[1], dtype=self.token_ids.dtype)
        return ops.where(places == position[..., None], token[..., None], self.token_ids)

    def _gains_of_old(self, gradient):
        return ops.sum(gradient * self.old, axis=-1)

    def _rows(self, tokens):
        """Returns embeddings as the ranking takes them, and their lengths, or 1."""
        rows = ops.take(self.table, tokens, axis=0)
        return _normalized(rows) if self.match_length else (rows, 1.0)


def _normalized(rows):
    lengths = ops.sqrt(ops.sum(ops.square(rows), axis=-1, keepdims=True))
    return rows / ops.maximum(lengths, 1e-12), lengths
