import functools

import keras
import numpy as np

from rocmr_keras.data.preprocessors import word_pieces
from rocmr_keras.data.preprocessors.base_preprocessor import BasePreprocessor
from rocmr_keras.data.preprocessors.learnt_vocabulary import learn_vocabulary
from rocmr_keras.data.preprocessors.shared_graphs import shared_graphs
from rocmr_keras.data.runtime import tensorflow


@keras.saving.register_keras_serializable(package="rocmr_keras")
class Preprocessor(BasePreprocessor):
    """Turns captions into token ids and image files into pixels.

    The one place where raw inputs become tensors, shared by training,
    evaluation and serving, and saved with the model. It is not a layer: it
    holds no weights, and strings do not cross into JAX or PyTorch. Captions
    are split by WordPiece and laid out as `[START] pieces [END] [PAD]...`; a
    caption without any piece becomes `[UNK]`, so that no text is empty.
    `[CLS]` and `[SEP]` of a BERT vocabulary serve as start and end. Tokenizers of
    other kinds: `HubPreprocessor`.

    Args:
        vocabulary: List of strings, WordPiece pieces (`"##"` continues a word),
            among them `[PAD]`, `[UNK]`, `[START]` and `[END]`.
        sequence_length: Integer, tokens per caption, at least 3. Defaults to `32`.
        image_size: Tuple of two integers, height and width in pixels.
            Defaults to `(64, 64)`.
        lowercase: Boolean, whether captions are case folded. Defaults to `True`.
        strip_accents: Boolean, whether accents are taken off, as the uncased BERT
            vocabularies expect. Defaults to `False`.

    Raises:
        ValueError: If an argument is out of its range, a special token is
            missing or a piece is listed twice.

    Example:

    ```python
    preprocessor = rocmr_keras.data.Preprocessor.from_captions(
        ["a red apple", "a green apple"], vocabulary_size=50, sequence_length=8
    )
    tokens = preprocessor.tokenize(["a red apple"])
    tokens["token_ids"].shape  # (1, 8)
    preprocessor.detokenize(tokens["token_ids"])  # ["a red apple"]
    ```
    """

    def __init__(
        self,
        vocabulary,
        sequence_length=32,
        image_size=(64, 64),
        lowercase=True,
        strip_accents=False,
    ):
        super().__init__(sequence_length, image_size)
        self.vocabulary = list(vocabulary)
        self.lowercase = lowercase
        self.strip_accents = strip_accents
        self._check_arguments()
        self._index = {piece: index for index, piece in enumerate(self.vocabulary)}
        self._pad = self._find("[PAD]")
        self._unknown = self._find("[UNK]")
        self._start = self._find("[START]", "[CLS]")
        self._end = self._find("[END]", "[SEP]")
        first = (self._pad, self._unknown, self._start, self._end)
        others = (i for i, piece in enumerate(self.vocabulary) if _is_bracketed(piece))
        self._special = first + tuple(i for i in others if i not in first)

    @classmethod
    def from_captions(
        cls, captions, vocabulary_size=4096, sequence_length=32, image_size=(64, 64), lowercase=True
    ):
        """Learns the vocabulary from captions, the same on every run.

        Args:
            captions: List of strings, those of the training split.
            vocabulary_size: Integer, the largest number of pieces. Defaults to `4096`.
            sequence_length: As for the class.
            image_size: As for the class.
            lowercase: As for the class.

        Returns:
            A `Preprocessor`.
        """
        vocabulary = learn_vocabulary(captions, vocabulary_size, lowercase)
        return cls(vocabulary, sequence_length, image_size, lowercase)

    @property
    def vocabulary_size(self):
        return len(self.vocabulary)

    @property
    def special_token_ids(self):
        """Tuple of integers: padding, unknown, start, end, then `[MASK]`, `[unused0]` and such."""
        return self._special

    @property
    def whole_word_mask(self):
        """Boolean array `(vocabulary_size,)`: pieces that are words, and read as such again."""
        may_be = word_pieces.may_be_word(self.vocabulary, "word_piece")
        options = self.lowercase, self.strip_accents
        is_word = [word_pieces.is_one_word(piece, *options) for piece in self.vocabulary]
        return np.logical_and(may_be, is_word)

    def _lay_out(self, texts):
        tf = tensorflow()
        pieces = self._tokenizer(texts)[:, : self.sequence_length - 2]
        unknown = tf.fill([pieces.nrows(), 1], self._unknown)
        is_empty = tf.cast(pieces.row_lengths() == 0, "int64")
        unknown = tf.RaggedTensor.from_tensor(unknown, lengths=is_empty)
        start = tf.fill([pieces.nrows(), 1], self._start)
        end = tf.fill([pieces.nrows(), 1], self._end)
        tokens = tf.concat([start, pieces, unknown, end], axis=1)
        return {
            "token_ids": tokens.to_tensor(self._pad, shape=[None, self.sequence_length]),
            "padding_mask": tf.sequence_mask(tokens.row_lengths(), self.sequence_length),
        }

    def tokens(self, token_ids):
        """Names the pieces, position by position, padding left out.

        Args:
            token_ids: Integers `(B, L)`.

        Returns:
            A list of `B` lists of strings, special tokens included.
        """
        ids = np.asarray(token_ids)
        return [[self.vocabulary[i] for i in row if i != self._pad] for row in ids]

    def detokenize(self, token_ids):
        """Joins pieces to text again: words are right, blanks and case may differ.

        Args:
            token_ids: Integers `(B, L)`.

        Returns:
            A list of `B` strings, special tokens left out, except `[UNK]`.
        """
        hidden = {self.vocabulary[i] for i in (self._pad, self._start, self._end)}
        rows = self.tokens(token_ids)
        texts = [" ".join(piece for piece in row if piece not in hidden) for row in rows]
        return [text.replace(" ##", "") for text in texts]

    def get_config(self):
        return {
            "vocabulary": list(self.vocabulary),
            "sequence_length": self.sequence_length,
            "image_size": list(self.image_size),
            "lowercase": self.lowercase,
            "strip_accents": self.strip_accents,
        }

    @property
    def _tokenizer(self):
        if "tokenizer" not in self._text_graphs:
            tf = tensorflow()
            import keras_hub

            # Outside of any graph that is being traced: its table must outlive it.
            with tf.init_scope(), tf.device("cpu"):
                self._text_graphs["tokenizer"] = keras_hub.tokenizers.WordPieceTokenizer(
                    self.vocabulary,
                    lowercase=self.lowercase,
                    strip_accents=self.strip_accents,
                    dtype="int32",
                )
        return self._text_graphs["tokenizer"].tokenize

    @functools.cached_property
    def _text_graphs(self):
        options = self.sequence_length, self.lowercase, self.strip_accents
        return shared_graphs((type(self), tuple(self.vocabulary), *options))

    def _find(self, *names):
        for name in names:
            if name in self._index:
                return self._index[name]
        raise ValueError(
            "`vocabulary` must hold the special tokens [PAD], [UNK], [START] and [END]. "
            f"Received: a vocabulary of {len(self.vocabulary)} pieces without {names[0]}. "
            "Learn one with `Preprocessor.from_captions`."
        )

    def _check_arguments(self):
        if len(set(self.vocabulary)) != len(self.vocabulary):
            raise ValueError(
                "`vocabulary` must not list a piece twice. Received: "
                f"{len(self.vocabulary)} pieces, {len(set(self.vocabulary))} of them different. "
                "Remove the repetitions."
            )


def _is_bracketed(piece):
    return piece[0] == "[" and len(piece) > 1
