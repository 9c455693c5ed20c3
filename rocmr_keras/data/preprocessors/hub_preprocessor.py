import functools
import re

import keras
import numpy as np

from rocmr_keras.data.preprocessors import word_pieces
from rocmr_keras.data.preprocessors.base_preprocessor import BasePreprocessor
from rocmr_keras.data.preprocessors.base_preprocessor import to_utf8
from rocmr_keras.data.preprocessors.base_preprocessor import traced
from rocmr_keras.data.preprocessors.tokenizer_config import deserialize_tokenizer
from rocmr_keras.data.preprocessors.tokenizer_config import serialize_tokenizer
from rocmr_keras.data.preprocessors.tokenizer_config import tokens_of
from rocmr_keras.data.runtime import tensorflow

_PUNCTUATION = r"[!-/:-@\[-`{-~]"


@keras.saving.register_keras_serializable(package="rocmr_keras")
class HubPreprocessor(BasePreprocessor):
    """Makes a preprocessor of a KerasHub tokenizer.

    Does what `Preprocessor` does, with the tokenizer that a ready-made text tower was
    trained with: CLIP, SigLIP, BERT, DistilBERT, RoBERTa, ALBERT. A caption becomes
    `start pieces end padding...`, without a start where the tokenizer has none
    (SigLIP). Marks like `<|endoftext|>` in a caption are broken up, so that no text
    can end itself. It always takes the tokenizer's TensorFlow path, also outside of
    graphs: the other one differs on capitals.

    Args:
        tokenizer: A KerasHub tokenizer with its vocabulary.
        sequence_length: Integer, tokens per caption, at least 3. Defaults to `77`, CLIP's;
            SigLIP's towers take 64 and no other.
        image_size: Tuple of two integers, height and width. Defaults to `(224, 224)`.
        lowercase: Boolean, whether to fold case first; `None` for what the tokenizer's
            family does: CLIP and SigLIP only, where it is not the tokenizer's own
            business. Defaults to `None`.
        strip_punctuation: Boolean; `None` for SigLIP only. Defaults to `None`.
        interpolation: `"bilinear"` or `"bicubic"`, of images. Defaults to `"bilinear"`.
        crop: Boolean, whether images of another aspect ratio are cropped, not squeezed.
            Defaults to `True`.

    Raises:
        ValueError: If an argument is out of its range, or the tokenizer has no end or no
            vocabulary; from `tokenize` if it does not know a character.

    Example:

    ```python
    tokenizer = keras_hub.tokenizers.Tokenizer.from_preset("clip_vit_base_patch32")
    preprocessor = rocmr_keras.data.HubPreprocessor(tokenizer)
    preprocessor.tokenize(["a red apple"])["token_ids"].shape  # (1, 77)
    ```
    """

    def __init__(
        self,
        tokenizer,
        sequence_length=77,
        image_size=(224, 224),
        lowercase=None,
        strip_punctuation=None,
        interpolation="bilinear",
        crop=True,
    ):
        super().__init__(sequence_length, image_size, interpolation, crop)
        if getattr(tokenizer, "end_token_id", None) is None:
            raise ValueError(
                "`tokenizer` must be the KerasHub tokenizer of a text model, with its "
                f"vocabulary. Received: tokenizer={tokenizer} without an end token. Take "
                "e.g. keras_hub.models.BertTokenizer, not WordPieceTokenizer."
            )
        is_siglip = type(tokenizer).__name__ == "SigLIPTokenizer"
        self.tokenizer = tokenizer
        self.kind = word_pieces.kind_of(tokenizer)
        folds = is_siglip or self.kind == "end_of_word"
        self.lowercase = folds if lowercase is None else lowercase
        self.strip_punctuation = is_siglip if strip_punctuation is None else strip_punctuation
        self.vocabulary = tokens_of(tokenizer)
        self._pad = tokenizer.pad_token_id
        self._start = getattr(tokenizer, "start_token_id", None)
        self._end = tokenizer.end_token_id
        first = {self._pad, self._end, *tokenizer.special_token_ids}
        marks = (i for i, piece in enumerate(self.vocabulary) if word_pieces.is_special(piece))
        self._special = tuple(sorted(first.union(marks)))

    @property
    def vocabulary_size(self):
        return len(self.vocabulary)

    @property
    def special_token_ids(self):
        """Tuple of integers: padding, start, end, unknown and all other marks."""
        return self._special

    @functools.cached_property
    def whole_word_mask(self):
        """Boolean array `(vocabulary_size,)`: pieces that are words, and read as such again."""
        places = np.flatnonzero(word_pieces.may_be_word(self.vocabulary, self.kind))
        words = [word_pieces.join_pieces([self.vocabulary[place]], self.kind) for place in places]
        # Behind another word: some tokenizers give the first word of a text other pieces.
        before, *rows = self._pieces_of_texts(["a", *(f"a {word}" for word in words)])
        mask = np.zeros(self.vocabulary_size, "bool")
        mask[places] = [row == [*before, place] for row, place in zip(rows, places.tolist())]
        return mask

    @property
    def marks_word_ends(self):
        """Whether the last piece of a word is marked, as CLIP does, and not the first one."""
        return self.kind == "end_of_word"

    def tokenize(self, texts):
        """Turns strings into token ids, see `Preprocessor.tokenize`."""
        try:
            return super().tokenize(texts)
        except tensorflow().errors.InvalidArgumentError as error:
            raise ValueError(
                "The tokenizer must know every character of `texts`. Received: "
                f"texts={str(texts)[:200]}: {error.message.splitlines()[0]}. Use the "
                "vocabulary that the text tower was trained with, or lowercase=True."
            ) from error

    def _lay_out(self, texts):
        tf = tensorflow()
        start = [] if self._start is None else [self._start]
        room = self.sequence_length - len(start) - 1
        found = tf.cast(self._find_pieces(texts), "int32")
        tf.debugging.assert_non_negative(found.flat_values, "a character has no token")
        ends = [tf.fill([found.nrows(), 1], token) for token in (*start, self._end)]
        tokens = tf.concat([*ends[:-1], found[:, :room], ends[-1]], axis=1)
        return {
            "token_ids": tokens.to_tensor(self._pad, shape=[None, self.sequence_length]),
            "padding_mask": tf.sequence_mask(tokens.row_lengths(), self.sequence_length),
        }

    def _pieces_of_texts(self, texts):
        """Returns lists of token ids, without start and end, of strings."""
        tf = tensorflow()

        # Asked for while a step is traced, it must not become a part of the step.
        with tf.init_scope(), tf.device("cpu"):
            return self._find_pieces(tf.constant(to_utf8(texts), "string")).to_list()

    def _find_pieces(self, texts):
        # A graph of its own: the tokenizers of CLIP and RoBERTa take seconds to be traced.
        spec = tensorflow().TensorSpec([None], "string")
        return traced(self._text_graphs, self._tokens_of, spec)(texts)

    def _tokens_of(self, texts):
        return self.tokenizer.tokenize(self._clean(texts))

    def _clean(self, texts):
        strings = tensorflow().strings
        for mark in getattr(self.tokenizer, "unsplittable_tokens", None) or ():
            broken = f"{mark[0]} {mark[1:]}".replace("\\", r"\\")
            texts = strings.regex_replace(texts, re.escape(mark), broken)
        if self.lowercase:
            texts = strings.lower(texts, "utf-8")
        if self.strip_punctuation:
            texts = strings.regex_replace(texts, _PUNCTUATION, "")
        if self.kind == "end_of_word":
            # CLIP's digits are words of their own.
            texts = strings.regex_replace(texts, r"(\p{N})", r" \1 ")
        return strings.strip(strings.regex_replace(texts, r"\s+", " "))

    def tokens(self, token_ids):
        """Names the pieces, position by position, padding at the end left out."""
        rows = np.asarray(token_ids).tolist()
        return [[self.vocabulary[i] for i in self._without_padding(row)] for row in rows]

    def _without_padding(self, row):
        kept = [place for place, token in enumerate(row) if token != self._pad]
        return row[: kept[-1] + 1] if kept else []

    def detokenize(self, token_ids):
        """Joins pieces to text again, marks left out."""
        rows = self.tokens(token_ids)
        return [
            word_pieces.join_pieces([p for p in row if not word_pieces.is_special(p)], self.kind)
            for row in rows
        ]

    def get_config(self):
        return {
            "tokenizer": serialize_tokenizer(self.tokenizer),
            "sequence_length": self.sequence_length,
            "image_size": list(self.image_size),
            "lowercase": self.lowercase,
            "strip_punctuation": self.strip_punctuation,
            "interpolation": self.interpolation,
            "crop": self.crop,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "tokenizer": deserialize_tokenizer(config["tokenizer"])})
