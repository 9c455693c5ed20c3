import functools
import numbers
import os

import numpy as np

from rocmr_keras.data.images import check_pixels
from rocmr_keras.data.images import decode_image
from rocmr_keras.data.images import decode_jpeg
from rocmr_keras.data.images import fit_image
from rocmr_keras.data.images import map_in_parallel
from rocmr_keras.data.images import read_contents
from rocmr_keras.data.images import read_image
from rocmr_keras.data.images import to_float
from rocmr_keras.data.preprocessors.learnt_vocabulary import check_strings
from rocmr_keras.data.preprocessors.shared_graphs import SharedGraphs
from rocmr_keras.data.preprocessors.shared_graphs import shared_graphs
from rocmr_keras.data.runtime import tensorflow


class BasePreprocessor:
    """What preprocessors of all tokenizers share: images, and traced functions.

    Subclasses implement `_lay_out(texts)`, from a string tensor `(B,)` to a dict of
    `token_ids` and `padding_mask`, `detokenize`, `special_token_ids`, of which `_pad` is one,
    and `get_config`.

    Args:
        sequence_length: Integer, tokens per caption, at least 3.
        image_size: Tuple of two integers, height and width in pixels, or an integer, the side
            of a square.
        interpolation: String, `"bilinear"` or `"bicubic"`. Defaults to `"bilinear"`.
        crop: Boolean, whether images of another aspect ratio are cropped, not squeezed.
            Defaults to `True`.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(self, sequence_length, image_size, interpolation="bilinear", crop=True):
        self.sequence_length = sequence_length
        is_side = isinstance(image_size, numbers.Integral)
        self.image_size = (int(image_size),) * 2 if is_side else _sides(image_size)
        self.interpolation = interpolation
        self.crop = crop
        if sequence_length < 3:
            raise ValueError(
                "`sequence_length` must be at least 3: start, one piece, end. "
                f"Received: sequence_length={sequence_length}. 16 to 77 are usual."
            )
        if len(self.image_size) != 2 or min(self.image_size) < 1:
            raise ValueError(
                "`image_size` must be two positive ints, height and width, or one. "
                f"Received: image_size={image_size!r}. Pass for example (64, 64)."
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
        texts = [texts] if isinstance(texts, (str, bytes)) or texts is None else list(texts)
        check_strings("texts", texts, (str, bytes))
        tokens = self.tokenize_graph(tf.constant(to_utf8(texts), "string"))
        return {name: value.numpy() for name, value in tokens.items()}

    def tokenize_graph(self, texts):
        """Does what `tokenize` does, on tensors, inside `tf.data` or a SavedModel.

        Args:
            texts: String tensor `(B,)`, in UTF-8.

        Returns:
            A dict of tensors as in `tokenize`.
        """
        spec = tensorflow().TensorSpec([None], "string")
        return traced(self._text_graphs, self._lay_out, spec)(texts)

    def reads_back(self, token_ids, clean_token_ids):
        """Says which changed texts, written as strings, are tokenised to the same ids again.

        What the clean text loses on this way, such as half a word at its end, is not held
        against the changed one. Special tokens are left out. Where TensorFlow is not
        installed no string can be tokenised, and `whole_word_mask` has the last word.

        Args:
            token_ids: Integers `(B, sequence_length)`.
            clean_token_ids: Integers of the same shape.

        Returns:
            A boolean array `(B,)`.
        """
        try:
            tensorflow()
        except ImportError:
            return np.ones(len(token_ids), "bool")
        changed, again = self._read_again(np.asarray(token_ids))
        clean, clean_again = self._read_again(np.asarray(clean_token_ids))
        lost = np.logical_and(changed != again, clean == clean_again)
        return ~np.any(lost, axis=1)

    def _read_again(self, token_ids):
        """Returns the ordinary tokens from the left, and those of the string they make."""
        tokens = self._flush(token_ids)
        again = self.tokenize(self.detokenize(tokens))["token_ids"]
        return tokens, self._flush(again)

    def _flush(self, token_ids):
        """Moves the ordinary tokens to the left and pads the rest."""
        ordinary = ~np.isin(token_ids, self.special_token_ids)
        order = np.argsort(~ordinary, axis=1, kind="stable")
        moved = np.take_along_axis(token_ids, order, axis=1)
        return np.where(np.take_along_axis(ordinary, order, axis=1), moved, self._pad)

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
            ValueError: If one path is given instead of a list, an image cannot be read (the
                message names it), or an array has another shape, type or range.
        """
        if isinstance(images, (str, bytes, os.PathLike)):
            raise ValueError(
                "`images` must be a list. Received: one path or the bytes of one image, "
                f"images={images!r:.80}. Put it into a list."
            )
        if self.is_ready(images):
            return to_float(images)
        pixels = [self.load_pixels(image) for image in images]
        return to_float(np.stack(pixels) if pixels else np.zeros((0, *self.image_size, 3), "uint8"))

    def load_pixels(self, image):
        """Reads one image as `load_images` does.

        Pixels of the right size and type are taken as they are, without TensorFlow.

        Args:
            image: As one of `load_images`.

        Returns:
            A NumPy array, uint8 `(height, width, 3)`.

        Raises:
            ValueError: As `load_images`.
        """
        if isinstance(image, (str, bytes, os.PathLike)):
            return self._read(image)
        images = check_pixels(np.asarray(image)[None])
        return images[0] if self.is_ready(images) else self._resize(images[0])

    def is_ready(self, images):
        """Says whether images are an array of pixels that are taken as they are.

        Args:
            images: As those of `load_images`, or of a `Split`.

        Returns:
            Boolean.
        """
        is_uint8 = isinstance(images, np.ndarray) and images.dtype == "uint8"
        return is_uint8 and images.shape[1:] == (*self.image_size, 3)

    def load_files(self, paths, together=False, are_jpeg=False):
        """Decodes image files whose headers have been checked, on all processors.

        The pixels are those of `load_pixels`; which file it was that failed is not said.

        Args:
            paths: List of at least one path.
            together: Boolean, whether the images are of one size and small enough to be
                resized as one batch, which saves what each call costs. Defaults to `False`.
            are_jpeg: Boolean, whether all are JPEG files: a choice in the graph, image by
                image, takes 7 % of the time. Defaults to `False`.

        Returns:
            A NumPy array, uint8 `(B, height, width, 3)`.

        Raises:
            tf.errors.OpError: If a file cannot be decoded.
        """
        tf = tensorflow()
        decode = decode_jpeg if are_jpeg else decode_image

        def read_files(names):
            if together:
                return self._fit(map_in_parallel(lambda name: decode(tf.io.read_file(name)), names))
            return map_in_parallel(lambda name: self._fit(decode(tf.io.read_file(name))), names)

        spec = tf.TensorSpec([None], "string")
        read = traced(self._image_graphs, read_files, spec, together, are_jpeg)
        with tf.device("cpu"):
            return read(tf.constant([os.fsencode(path) for path in paths], "string")).numpy()

    def pack(self, split, verbose=1):
        """Decodes and tokenises a split once for many uses, see `rocmr_keras.data.pack`.

        Args:
            split: `rocmr_keras.data.Split`.
            verbose: `1` for a progress bar, `0` for none. Defaults to `1`.

        Returns:
            A `rocmr_keras.data.PackedSplit`.
        """
        # Packs are made by a preprocessor, and this is one: an import at the top is a circle.
        from rocmr_keras.data.packs.pack import pack

        return pack(split, self, verbose=verbose)

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

    @functools.cached_property
    def _text_graphs(self):
        # A subclass knows what its tokens are made of, and whether others have the same.
        return SharedGraphs()

    @functools.cached_property
    def _image_graphs(self):
        return shared_graphs((type(self), self.image_size, self.interpolation, self.crop))

    def _read(self, source):
        tf = tensorflow()
        contents = read_contents(source)
        decode = traced(self._image_graphs, self.decode_graph, tf.TensorSpec([], "string"))
        try:
            with tf.device("cpu"):
                return decode(contents).numpy()
        except tf.errors.OpError:
            # Outside of a graph the reason is one line that says what is wrong.
            return self._resize(read_image(source))

    def _resize(self, image):
        tf = tensorflow()
        spec = tf.TensorSpec([None, None, 3], image.dtype)
        resize = traced(self._image_graphs, self.resize_graph, spec)
        with tf.device("cpu"):
            return resize(image).numpy()


def traced(graphs, function, spec, *options):
    """Returns the graph of a function of one tensor, traced once for all callers.

    Eager ones too: those would otherwise get KerasHub's second implementation, which is pure
    Python.

    Args:
        graphs: `SharedGraphs`.
        function: Callable that is the same for all who share them.
        spec: `tf.TensorSpec` of the tensor.
        *options: Hashable, what else the function depends on.
    """
    key = (function.__name__, spec.dtype, *options)
    if key not in graphs:
        graphs[key] = tensorflow().function(function, input_signature=[spec], autograph=False)
    return graphs[key]


def _sides(image_size):
    """Returns a tuple of whole numbers, an empty one where it is something else."""
    sides = tuple(image_size) if isinstance(image_size, (tuple, list)) else ()
    return sides if all(isinstance(side, numbers.Integral) for side in sides) else ()


def to_utf8(texts):
    """Encodes strings as UTF-8, with `"?"` for what UTF-8 cannot hold.

    Args:
        texts: List of strings or bytes.

    Returns:
        A list of bytes.
    """
    return [t if isinstance(t, bytes) else t.encode("utf-8", "replace") for t in texts]
