import functools
import hashlib

import numpy as np

from rocmr_keras.data.preprocessors import word_pieces
from rocmr_keras.data.preprocessors.base_preprocessor import BasePreprocessor


class TokenizerPreprocessor(BasePreprocessor):
    """Turns captions into token ids with a tokenizer of `transformers` or `open_clip`.

    What `rocmr_keras.models.Adapter.from_transformers` and `from_open_clip` read captions and
    images with. Neither package is imported: the tokenizer is called. It is not saved.

    Args:
        tokenizer: A tokenizer of `transformers`, padding on the right, or of `open_clip`.
        sequence_length: Integer, tokens per caption. Defaults to `77`.
        image_size: Tuple of two integers, height and width. Defaults to `(224, 224)`.
        interpolation: `"bilinear"` or `"bicubic"`, of images. Defaults to `"bicubic"`.
        crop: Boolean, whether images of another aspect ratio are cropped, not squeezed.
            Defaults to `True`.

    Raises:
        ValueError: If an argument is out of its range or the tokenizer of another kind.
    """

    def __init__(
        self,
        tokenizer,
        sequence_length=77,
        image_size=(224, 224),
        interpolation="bicubic",
        crop=True,
    ):
        super().__init__(sequence_length, image_size, interpolation, crop)
        self.tokenizer = tokenizer
        # `open_clip` wraps those of `transformers`.
        self._inner = getattr(tokenizer, "tokenizer", tokenizer)
        self.vocabulary = _pieces_of(self._inner)
        self.end_token_id = _first(self._inner, "eot_token_id", "eos_token_id", "sep_token_id")
        pad = _first(self._inner, "pad_token_id")
        # Without a token for it, the ids behind the end are those of a word.
        self._pad = self.end_token_id if pad is None else pad
        ends = {token for token in (self._pad, self.end_token_id) if token is not None}
        self._special = tuple(sorted(ends.union(self._inner.all_special_ids)))
        self.kind = _kind_of(self.vocabulary)

    @property
    def vocabulary_size(self):
        return len(self.vocabulary)

    @property
    def special_token_ids(self):
        """Tuple of integers: padding, start, end, unknown and all other marks."""
        return self._special

    @property
    def pad_token_id(self):
        return self._pad

    @property
    def marks_word_ends(self):
        """Whether the last piece of a word is marked, as CLIP does, and not the first one."""
        return self.kind == "end_of_word"

    @functools.cached_property
    def whole_word_mask(self):
        """Boolean array `(vocabulary_size,)`: pieces that are words, and read as such again."""
        ordinary = ~np.isin(np.arange(self.vocabulary_size), self._special)
        may_be = word_pieces.may_be_word(self.vocabulary, self.kind)
        places = np.flatnonzero(np.logical_and(may_be, ordinary))
        words = self.detokenize(places[:, None])
        before, *rows = self._ordinary(["a", *(f"a {word.strip()}" for word in words)])
        mask = np.zeros(self.vocabulary_size, "bool")
        mask[places] = [row == [*before, place] for row, place in zip(rows, places.tolist())]
        return mask

    def tokenize(self, texts):
        """Turns strings into token ids, see `Preprocessor.tokenize`."""
        texts = [texts] if isinstance(texts, str) else list(texts)
        if not texts:
            empty = np.zeros((0, self.sequence_length))
            return {"token_ids": empty.astype("int32"), "padding_mask": empty.astype("bool")}
        token_ids, padding_mask = self._call(texts)
        token_ids = np.where(padding_mask, token_ids, self._pad).astype("int32")
        return {"token_ids": token_ids, "padding_mask": padding_mask}

    def _call(self, texts):
        if self._inner is self.tokenizer and hasattr(self.tokenizer, "convert_ids_to_tokens"):
            length = {"max_length": self.sequence_length, "padding": "max_length"}
            found = self.tokenizer(texts, truncation=True, return_attention_mask=True, **length)
            return np.array(found["input_ids"]), np.array(found["attention_mask"], "bool")
        token_ids = np.array(self.tokenizer(texts, context_length=self.sequence_length))
        return token_ids, self._until_the_end(token_ids)

    def _until_the_end(self, token_ids):
        is_end = token_ids == self.end_token_id
        before = np.cumsum(is_end, axis=1) - is_end == 0
        has_end = is_end.any(axis=1, keepdims=True)
        return np.where(has_end, before, token_ids != self._pad)

    def tokens(self, token_ids):
        """Names the pieces, position by position, padding left out."""
        rows = np.asarray(token_ids).tolist()
        return [[self.vocabulary[i] for i in row if i != self._pad] for row in rows]

    def detokenize(self, token_ids):
        """Joins pieces to text again, marks left out."""
        rows = np.asarray(token_ids).tolist()
        return [self._inner.decode(self._without_marks(row)).strip() for row in rows]

    def _ordinary(self, texts):
        return [self._without_marks(row) for row in self.tokenize(texts)["token_ids"].tolist()]

    def _without_marks(self, row):
        marks = self._marks
        return [token for token in row if token not in marks]

    @functools.cached_property
    def _marks(self):
        return frozenset(self._special)

    def get_config(self):
        # Tells packs of other tokenizers apart; nothing is built from it.
        pieces = "\n".join(self.vocabulary).encode("utf-8", "replace")
        return {
            "tokenizer": type(self._inner).__name__,
            "vocabulary": hashlib.sha256(pieces).hexdigest(),
            "sequence_length": self.sequence_length,
            "image_size": list(self.image_size),
            "interpolation": self.interpolation,
            "crop": self.crop,
        }

    @classmethod
    def from_config(cls, config):
        raise NotImplementedError(
            "The tokenizer of another package is not saved. Save it with its own package, and "
            "build the preprocessor anew."
        )


def _pieces_of(tokenizer):
    if hasattr(tokenizer, "convert_ids_to_tokens"):
        return [str(piece) for piece in tokenizer.convert_ids_to_tokens(range(len(tokenizer)))]
    if hasattr(tokenizer, "decoder") and hasattr(tokenizer, "all_special_ids"):
        return [tokenizer.decoder[place] for place in range(len(tokenizer.decoder))]
    raise ValueError(
        "`tokenizer` must be one of `transformers` or `open_clip`. Received: "
        f"tokenizer={type(tokenizer).__name__}. Write a preprocessor for others, see `Adapter`."
    )


def _first(tokenizer, *names):
    """Returns the first of some ids that the tokenizer has, or `None`."""
    found = (getattr(tokenizer, name, None) for name in names)
    return next((token for token in found if token is not None), None)


def _kind_of(pieces):
    """Tells kinds of tokenizers apart by their pieces, as `word_pieces.kind_of` does."""
    if any(piece.endswith("</w>") for piece in pieces):
        return "end_of_word"
    if any(piece.startswith("##") for piece in pieces):
        return "word_piece"
    is_sentence_piece = any(piece.startswith("▁") for piece in pieces)
    return "sentence_piece" if is_sentence_piece else "byte_pair"
