import os

import numpy as np

from rocmr_keras.data.images import check_pixels
from rocmr_keras.data.images import decode_image
from rocmr_keras.data.images import fit_image
from rocmr_keras.data.images import read_image
from rocmr_keras.data.images import to_float
from rocmr_keras.data.runtime import tensorflow


class BasePreprocessor:
    """What preprocessors of all tokenizers share: images, and traced functions.

    Subclasses implement `_lay_out(texts)`, from a string tensor `(B,)` to a dict of
    `token_ids` and `padding_mask`, and `get_config`.

    Args:
        sequence_length: Integer, tokens per caption, at least 3.
        image_size: Tuple of two integers, height and width in pixels.
        interpolation: String, `"bilinear"` or `"bicubic"`. Defaults to `"bilinear"`.
        crop: Boolean, whether images of another aspect ratio are cropped, not squeezed.
            Defaults to `True`.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(self, sequence_length, image_size, interpolation="bilinear", crop=True):
        self.sequence_length = sequence_length
        self.image_size = tuple(image_size)
        self.interpolation = interpolation
        self.crop = crop
        self._graphs = {}
        if sequence_length < 3:
            raise ValueError(
                "`sequence_length` must be at least 3: start, one piece, end. "
                f"Received: sequence_length={sequence_length}. 16 to 77 are usual."
            )
        if len(self.image_size) != 2 or min(self.image_size) < 1:
            raise ValueError(
                "`image_size` must be two positive ints, height and width. "
                f"Received: image_size={self.image_size}. Pass for example (64, 64)."
            )
        if interpolation not in ("bilinear", "bicubic"):
            raise ValueError(
                "`interpolation` must be 'bilinear' or 'bicubic'. Received: interpolation="
                f"{interpolation!r}. Take what the image tower was trained with."
            )

    def tokenize(self, texts):
        """Turns strings into token ids.

        Args:
            texts: List of `B` strings, or one string (then `B` is 1). What
                UTF-8 cannot hold (lone surrogates) counts as `"?"`.

        Returns:
            A dict of NumPy arrays: `token_ids`, int32 `(B, sequence_length)`, and
            `padding_mask`, boolean of that shape, True at real tokens, special
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
        return self._fit(decode_image(contents))

    def resize_graph(self, image):
        """Brings the pixels of one image to `image_size`, inside `tf.data`.

        Args:
            image: Tensor `(rows, columns, 3)`, uint8, or float in `[0, 1]`.

        Returns:
            A uint8 tensor `(height, width, 3)`.
        """
        tf = tensorflow()
        scale = 1.0 if image.dtype == tf.uint8 else 255.0
        return self._fit(tf.cast(image, "float32") * scale)

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def _fit(self, image):
        return fit_image(image, self.image_size, self.interpolation, self.crop)

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


def encode(texts):
    """Encodes strings as UTF-8, with `"?"` for what UTF-8 cannot hold.

    Args:
        texts: List of strings or bytes.

    Returns:
        A list of bytes.
    """
    return [t if isinstance(t, bytes) else t.encode("utf-8", "replace") for t in texts]
