"""Which tokens may replace which: the swap masks of `TokenSubstitution`."""

import keras
import numpy as np
from keras import ops

from rocmr_keras.attacks.checks import check_count


class SwapMask:
    """Base class of swap masks, which restrict the swaps that an attack may make.

    They have no state and run inside the compiled step. Subclasses implement `mask` and
    `get_config`.
    """

    def mask(self, token_ids, vocabulary):
        """Says which token may replace which.

        Args:
            token_ids: Integer tensor `(batch, length)`, the current texts.
            vocabulary: A `rocmr_keras.attacks.Vocabulary`.

        Returns:
            Boolean tensor that broadcasts to `(batch, length, vocabulary_size)`. Special
            tokens and forbidden positions are the attack's own business.
        """
        raise NotImplementedError

    def mask_among(self, token_ids, tokens, vocabulary):
        """Says the same of some tokens only, by default out of the whole mask.

        Args:
            token_ids: Integer tensor `(batch, length)`, the current texts.
            tokens: Integer tensor `(batch, n)`, those that may come.
            vocabulary: A `rocmr_keras.attacks.Vocabulary`.

        Returns:
            Boolean tensor `(batch, length, n)`.
        """
        return columns(self.mask(token_ids, vocabulary), token_ids, tokens)

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(package="rocmr_keras")
class NearestNeighbors(SwapMask):
    """Allows only replacements whose embeddings have a high cosine with the old one's.

    A proxy for similar meaning, as good as the embedding table is. Unlike `WholeWords` it
    does not need the strings of the vocabulary.

    Args:
        min_cosine: Float in [-1, 1], the least cosine of the two embeddings, or `None`
            for no threshold. Defaults to `0.5`.
        num_neighbors: Integer, how many tokens may replace a token, the nearest ones among
            those that may be written (more where the last place is shared); `None` for
            all. Defaults to `None`.

    Raises:
        ValueError: If a value is out of its range, or both are `None`.

    Reference:
        - [Jin et al., 2020](https://arxiv.org/abs/1907.11932), TextFooler
    """

    def __init__(self, min_cosine=0.5, num_neighbors=None):
        if min_cosine is not None and not -1.0 <= min_cosine <= 1.0:
            raise ValueError(
                "`min_cosine` must be a number from -1 to 1, or None. "
                f"Received: min_cosine={min_cosine!r}. 0.5 to 0.8 are usual."
            )
        if min_cosine is None and num_neighbors is None:
            raise ValueError(
                "`NearestNeighbors` needs a limit. Received: min_cosine=None, "
                "num_neighbors=None. Pass one of them, or no mask."
            )
        if num_neighbors is not None:
            check_count("num_neighbors", num_neighbors)
        self.min_cosine = min_cosine
        self.num_neighbors = num_neighbors

    def mask(self, token_ids, vocabulary):
        directions = _unit_rows(vocabulary.table)
        # Only for the tokens in the batch: all pairs of a vocabulary would not fit in memory.
        there = ops.take(directions, token_ids, axis=0)
        cosines = ops.matmul(there, ops.transpose(directions))
        # Below every cosine.
        least = -2.0 if self.min_cosine is None else self.min_cosine
        if self.num_neighbors is not None:
            least = ops.maximum(least, self._last_place(cosines, token_ids, vocabulary))
        return cosines >= least

    def _last_place(self, cosines, token_ids, vocabulary):
        """Returns the cosine of the farthest neighbour, `(batch, length, 1)`."""
        size = cosines.shape[-1]
        tokens = ops.arange(size, dtype=token_ids.dtype)
        rivals = ops.logical_and(vocabulary.allowed, tokens != token_ids[..., None])
        nearest, _ = ops.top_k(ops.where(rivals, cosines, -2.0), min(self.num_neighbors, size))
        return nearest[..., -1:]

    def get_config(self):
        return {"min_cosine": self.min_cosine, "num_neighbors": self.num_neighbors}


@keras.saving.register_keras_serializable(package="rocmr_keras")
class WholeWords(SwapMask):
    """Allows only whole words in place of whole words.

    Without this mask a search may append a `##` piece to the word before, which nobody can
    type. Words of several pieces are never replaced. What is left are texts that are
    tokenised to the same ids again when they are written as strings; evaluation checks
    this with the tokenizer. The model's preprocessor must have a `whole_word_mask`, as those
    of `rocmr_keras.data` do.

    Args:
        forbidden: Tuple of integers, tokens that may not be written all the same. Defaults
            to none.
    """

    def __init__(self, forbidden=()):
        self.forbidden = tuple(int(token) for token in forbidden)

    def mask(self, token_ids, vocabulary):
        is_whole = _whole_words(vocabulary)
        replaceable = self._replaceable(token_ids, is_whole, vocabulary)
        return ops.logical_and(replaceable[..., None], self._writable(is_whole))

    def mask_among(self, token_ids, tokens, vocabulary):
        is_whole = _whole_words(vocabulary)
        writable = ops.take(self._writable(is_whole), tokens, axis=0)
        replaceable = self._replaceable(token_ids, is_whole, vocabulary)
        return ops.logical_and(replaceable[..., None], writable[:, None])

    def _replaceable(self, token_ids, is_whole, vocabulary):
        """Returns where a whole word stands alone, `(batch, length)`."""
        partial = ops.logical_and(vocabulary.allowed, ops.logical_not(is_whole))
        nothing = ops.zeros_like(token_ids[:, :1], dtype="bool")
        # A whole piece beside one that is none makes a longer word with it.
        if vocabulary.marks_ends:
            glued = ops.take(partial, token_ids[:, :-1], axis=0)
            glued = ops.concatenate([nothing, glued], axis=1)
        else:
            glued = ops.take(partial, token_ids[:, 1:], axis=0)
            glued = ops.concatenate([glued, nothing], axis=1)
        return ops.logical_and(ops.take(is_whole, token_ids, axis=0), ops.logical_not(glued))

    def _writable(self, is_whole):
        kept = ~np.isin(np.arange(is_whole.shape[0]), self.forbidden)
        return ops.logical_and(is_whole, ops.convert_to_tensor(kept))

    def get_config(self):
        return {"forbidden": list(self.forbidden)}


def columns(mask, token_ids, tokens):
    """Returns columns of a mask `(batch, length, vocabulary_size)`, for some tokens of each text.

    Args:
        mask: Boolean tensor that broadcasts to that shape.
        token_ids: Integer tensor `(batch, length)`.
        tokens: Integer tensor `(batch, n)`.

    Returns:
        Boolean tensor `(batch, length, n)`.
    """
    # `take_along_axis` does not broadcast by itself, and the batch may have no static size.
    mask = ops.logical_and(mask, ops.ones_like(token_ids[..., None], dtype="bool"))
    return ops.take_along_axis(mask, tokens[:, None], axis=-1)


def _whole_words(vocabulary):
    if vocabulary.is_whole_word is None:
        raise ValueError(
            "`WholeWords` needs to know which tokens are whole words. Received: a "
            "vocabulary with is_whole_word=None. Attack a model whose preprocessor "
            "has a `whole_word_mask`, or use `NearestNeighbors`."
        )
    return ops.convert_to_tensor(vocabulary.is_whole_word, dtype="bool")


def _unit_rows(table):
    table = ops.cast(table, "float32")
    length = ops.sqrt(ops.sum(ops.square(table), axis=-1, keepdims=True))
    return table / ops.maximum(length, 1e-12)
