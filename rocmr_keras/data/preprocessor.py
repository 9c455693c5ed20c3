import os

import keras
import numpy as np

from rocmr_keras.data.images import check_pixels
from rocmr_keras.data.images import decode_image
from rocmr_keras.data.images import fit_image
from rocmr_keras.data.images import read_image
from rocmr_keras.data.images import to_float
from rocmr_keras.data.runtime import tensorflow
from rocmr_keras.data.vocabulary import learn_vocabulary


@keras.saving.register_keras_serializable(package="rocmr_keras")
class Preprocessor:
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
        sequence_length: Int, tokens per caption, at least 3. Defaults to `32`.
        image_size: Tuple of two ints, height and width in pixels.
            Defaults to `(64, 64)`.
        lowercase: Bool, whether captions are case folded. Defaults to `True`.
        strip_accents: Bool, whether accents are taken off, as the uncased BERT
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
        self.vocabulary = list(vocabulary)
        self.sequence_length = sequence_length
        self.image_size = tuple(image_size)
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
        self._graphs = {}

    @classmethod
    def from_captions(
        cls, captions, vocabulary_size=4096, sequence_length=32, image_size=(64, 64), lowercase=True
    ):
        """Learns the vocabulary from captions, the same on every run.

        Args:
            captions: List of strings, those of the training split.
            vocabulary_size: Int, the largest number of pieces. Defaults to `4096`.
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
        """Tuple of ints: padding, unknown, start, end, then `[MASK]`, `[unused0]` and such."""
        return self._special

    @property
    def whole_word_mask(self):
        """Bool array `(vocabulary_size,)`: True where a piece begins a word and is not special."""
        return np.array(
            [not (p.startswith("##") or _is_bracketed(p)) for p in self.vocabulary]
        )

    def tokenize(self, texts):
        """Turns strings into token ids.

        Args:
            texts: List of `B` strings, or one string (then `B` is 1). What
                UTF-8 cannot hold (lone surrogates) counts as `"?"`.

        Returns:
            A dict of NumPy arrays: `token_ids`, int32 `(B, sequence_length)`, and
            `padding_mask`, bool of that shape, True at real tokens, special
            ones included.
        """
        tf = tensorflow()
        texts = [texts] if isinstance(texts, (str, bytes)) else list(texts)
        tokens = self.tokenize_graph(tf.constant(encode(texts), "string"))
        return {name: value.numpy() for name, value in tokens.items()}

    def tokenize_graph(self, texts):
        """Does what `tokenize` does, on tensors, inside `tf.data` or a SavedModel.

        Args:
            texts: String tensor `(B,)`, in UTF-8.

        Returns:
            A dict of tensors as in `tokenize`.
        """
        return self._graph(self._lay_out, tensorflow().TensorSpec([None], "string"))(texts)

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

    def load_images(self, images):
        """Reads images as the training pipeline does.

        Args:
            images: List of file paths, of `bytes` of image files, or of arrays
                `(height, width, 3)`, uint8 or float in `[0, 1]`; or one array
                `(B, height, width, 3)`.

        Returns:
            A NumPy array, float32 `(B, height, width, 3)` in `[0, 1]`, on the
            grid of 256 values.

        Raises:
            ValueError: If an image cannot be read, the message names it; or if an
                array has another shape, type or range.
        """
        tf = tensorflow()
        with tf.device("cpu"):
            pixels = [self._load(image) for image in images]
            if not pixels:
                return np.zeros((0, *self.image_size, 3), "float32")
            return to_float(tf.stack(pixels)).numpy()

    def decode_graph(self, contents):
        """Decodes one file's bytes, inside `tf.data` or a SavedModel.

        Args:
            contents: String tensor `()`, the bytes of an image file.

        Returns:
            A uint8 tensor `(height, width, 3)`.
        """
        return fit_image(decode_image(contents), self.image_size)

    def resize_graph(self, image):
        """Brings the pixels of one image to `image_size`, inside `tf.data`.

        Args:
            image: Tensor `(rows, columns, 3)`, uint8, or float in `[0, 1]`.

        Returns:
            A uint8 tensor `(height, width, 3)`.
        """
        tf = tensorflow()
        scale = 1.0 if image.dtype == tf.uint8 else 255.0
        return fit_image(tf.cast(image, "float32") * scale, self.image_size)

    def get_config(self):
        return {
            "vocabulary": list(self.vocabulary),
            "sequence_length": self.sequence_length,
            "image_size": list(self.image_size),
            "lowercase": self.lowercase,
            "strip_accents": self.strip_accents,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    @property
    def _tokenizer(self):
        if "tokenizer" not in self._graphs:
            tf = tensorflow()
            import keras_hub

            # Outside of any graph that is being traced: its table must outlive it.
            with tf.init_scope(), tf.device("cpu"):
                self._graphs["tokenizer"] = keras_hub.tokenizers.WordPieceTokenizer(
                    self.vocabulary,
                    lowercase=self.lowercase,
                    strip_accents=self.strip_accents,
                    dtype="int32",
                )
        return self._graphs["tokenizer"].tokenize

    def _graph(self, function, spec):
        # Traced once for all callers, eager ones too: those would otherwise get
        # KerasHub's second implementation, which is pure Python.
        tf = tensorflow()
        key = (function.__name__, spec.dtype)
        if key not in self._graphs:
            self._graphs[key] = tf.function(function, input_signature=[spec])
        return self._graphs[key]

    def _load(self, image):
        tf = tensorflow()
        if isinstance(image, (str, bytes, os.PathLike)):
            image = read_image(image)
        image = tf.constant(check_pixels(np.asarray(image)[None])[0])
        spec = tf.TensorSpec([None, None, 3], image.dtype)
        return self._graph(self.resize_graph, spec)(image)

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
        if self.sequence_length < 3:
            raise ValueError(
                "`sequence_length` must be at least 3: start, one piece, end. "
                f"Received: sequence_length={self.sequence_length}. 16 to 77 are usual."
            )
        if len(self.image_size) != 2 or min(self.image_size) < 1:
            raise ValueError(
                "`image_size` must be two positive ints, height and width. "
                f"Received: image_size={self.image_size}. Pass for example (64, 64)."
            )


def _is_bracketed(piece):
    return piece[0] == "[" and len(piece) > 1


def encode(texts):
    """Encodes strings as UTF-8, with `"?"` for what UTF-8 cannot hold.

    Args:
        texts: List of strings or bytes.

    Returns:
        A list of bytes.
    """
    return [t if isinstance(t, bytes) else t.encode("utf-8", "replace") for t in texts]
