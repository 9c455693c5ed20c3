import io
import os

import numpy as np

from rocmr_keras.data.gif_and_bmp import decode_bmp
from rocmr_keras.data.gif_and_bmp import first_of_gif
from rocmr_keras.data.image_headers import read_header
from rocmr_keras.data.runtime import tensorflow

# The first bytes of PNG and of WebP.
_WITH_ALPHA = (b"\x89PNG", b"RIFF")
JPEG = b"\xff\xd8"


class UnreadableImage(ValueError):
    """Says which image cannot be read, and why.

    Args:
        name: String, the path of the image in quotes, or the number of its bytes.
        reason: String of one line.
    """

    def __init__(self, name, reason):
        super().__init__(
            f"`images` must be readable images. Received: {name}: {reason}. "
            "Replace the image, or leave it out."
        )
        self.name = name
        self.reason = reason


def read_image(source):
    """Reads one image at its own size, outside of any graph.

    The size noted in the header is checked before anything is decoded, so that
    a small file cannot claim gigabytes.

    Args:
        source: Path of an image file, or the `bytes` of one.

    Returns:
        A NumPy array, uint8 `(rows, columns, 3)`.

    Raises:
        UnreadableImage: A `ValueError`; the message names the image.
    """
    tf = tensorflow()
    contents = read_contents(source)
    try:
        with tf.device("cpu"):
            decode = decode_jpeg if contents.startswith(JPEG) else decode_image
            return decode(contents).numpy()
    except (ValueError, tf.errors.OpError) as error:
        raise UnreadableImage(_name_of(source), reason(error)) from error


def read_contents(source):
    """Reads the bytes of an image file and checks its header; decodes nothing.

    Args:
        source: Path of an image file, or the `bytes` of one.

    Returns:
        The `bytes`.

    Raises:
        UnreadableImage: If the file cannot be read, or its header is not that of an image.
    """
    contents = source
    try:
        if not isinstance(source, bytes):
            with open(source, "rb") as file:
                contents = file.read()
        read_header(io.BytesIO(contents))
    except (OSError, ValueError) as error:
        raise UnreadableImage(_name_of(source), reason(error)) from error
    return contents


def check_pixels(images):
    """Checks that an array is one of RGB images.

    Args:
        images: Array `(N, height, width, 3)`, uint8, or float in `[0, 1]`.

    Returns:
        The same array.

    Raises:
        ValueError: If its shape, type or range is another.
    """
    if images.dtype.kind not in "biuf":
        raise ValueError(
            "`images` must be paths, bytes of image files, or arrays of numbers. Received: an "
            f"array of {images.dtype}, {images!r:.80}. Leave out what is missing."
        )
    if images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(
            "An array of `images` must have the shape (N, height, width, 3). "
            f"Received: images.shape={images.shape}. Repeat a gray channel three times."
        )
    is_float = images.dtype.kind == "f" and images.size
    if images.dtype != "uint8" and not (is_float and 0 <= images.min() <= images.max() <= 1):
        extent = f"[{images.min()}, {images.max()}]" if images.size else "empty"
        raise ValueError(
            "An array of `images` must be uint8, or float in [0, 1]. "
            f"Received: images.dtype={images.dtype}, range {extent}. "
            "Divide by 255, or convert to uint8."
        )
    return images


def reason(error):
    """Says in a few words what is wrong with a file.

    Args:
        error: The exception that reading it raised.

    Returns:
        A string of one line.
    """
    known = {
        FileNotFoundError: "no such file",
        IsADirectoryError: "a folder, not a file",
        PermissionError: "no permission to read it",
    }
    text = getattr(error, "message", None) or str(error)
    return known.get(type(error)) or text.splitlines()[0].rstrip(".")


def decode_image(contents):
    """Decodes a file's bytes to RGB, in a graph or outside.

    JPEG (gray and CMYK too), PNG (palette and 16 bits too), GIF (the first picture, without
    the screen around it), BMP (palette too) and still WebP. Transparent pixels of a PNG, GIF
    or WebP are laid on white. A rotation noted in EXIF is not applied: TensorFlow's decoder
    does not read it, and training and serving must see the same picture.

    Args:
        contents: String tensor `()`, the bytes of an image file.

    Returns:
        A uint8 tensor `(rows, columns, 3)`.
    """
    tf = tensorflow()

    start = tf.strings.substr(contents, 0, 4)
    may_have_alpha = tf.reduce_any(start == _WITH_ALPHA)
    is_bmp = tf.strings.substr(start, 0, 2) == b"BM"
    branches = (
        lambda: _decode(contents),
        lambda: _on_white(_decode(contents, 0)),
        lambda: _decode(first_of_gif(contents)[0]),
        lambda: decode_bmp(contents),
    )
    kind = tf.where(may_have_alpha, 1, tf.where(start == b"GIF8", 2, tf.where(is_bmp, 3, 0)))
    return tf.ensure_shape(tf.switch_case(kind, branches), [None, None, 3])


def decode_jpeg(contents):
    """Decodes the bytes of a JPEG as `decode_image` does, without a look at what it is.

    Args:
        contents: String tensor `()`, the bytes of a JPEG file.

    Returns:
        A uint8 tensor `(rows, columns, 3)`.
    """
    return _decode(contents)


def fit_image(image, image_size, interpolation="bilinear", crop=True):
    """Crops the centre to the target's aspect ratio, then resizes with antialiasing.

    Cropping before resizing keeps a very long picture from being blown up to
    a size of which nearly everything is thrown away. The result is rounded to
    the uint8 grid, so that a cached image and a fresh one are the same.

    Args:
        image: Tensor `(rows, columns, 3)`, uint8 or float in `[0, 255]`, or several of one
            size, `(B, rows, columns, 3)`.
        image_size: Tuple of two integers, height and width of the result.
        interpolation: String, `"bilinear"` or `"bicubic"`. Defaults to `"bilinear"`.
        crop: Boolean; without it the picture is squeezed. Defaults to `True`.

    Returns:
        A uint8 tensor `(height, width, 3)`, or several.
    """
    tf = tensorflow()
    if crop:
        image = _crop_centre(image, *image_size)
    image = tf.image.resize(image, image_size, interpolation, antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(image), 0, 255), "uint8")


def _crop_centre(image, height, width):
    tf = tensorflow()
    rows, columns = tf.unstack(tf.shape(image, out_type="int64")[-3:-1])
    kept_rows = tf.clip_by_value(columns * height // width, 1, rows)
    kept_columns = tf.clip_by_value(rows * width // height, 1, columns)
    top = (rows - kept_rows) // 2
    left = (columns - kept_columns) // 2
    return image[..., top : top + kept_rows, left : left + kept_columns, :]


def map_in_parallel(function, elements):
    """Maps a function of one element over many, on all processors, inside a graph.

    Args:
        function: Callable from an element to a tensor of one and the same shape.
        elements: Tensor `(B, ...)`.

    Returns:
        A tensor `(B, ...)`, in the order of the elements.
    """
    tf = tensorflow()
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = tf.data.Dataset.from_tensor_slices(elements).with_options(options)
    dataset = dataset.map(function, num_parallel_calls=os.cpu_count() or 1)
    return dataset.batch(tf.shape(elements, out_type="int64")[0]).get_single_element()


def to_float(images):
    """Converts uint8 pixels to float32 in `[0, 1]`, in a graph or outside.

    Args:
        images: uint8 tensor of any shape, or a NumPy array, for which no TensorFlow is
            needed.

    Returns:
        A float32 tensor of the same shape, or an array.
    """
    # A product: TensorFlow turns the quotient into one in some graphs, not in all.
    if isinstance(images, np.ndarray):
        return np.multiply(images, np.float32(1.0 / 255.0), dtype="float32")
    return tensorflow().cast(images, "float32") * (1.0 / 255.0)


def _name_of(source):
    return f"{len(source)} bytes" if isinstance(source, bytes) else repr(os.fspath(source))


def _decode(contents, channels=3):
    decode = tensorflow().io.decode_image
    return decode(contents, channels=channels, expand_animations=False)


def _on_white(image):
    # 1 to 4 channels: gray, gray and alpha, RGB, RGB and alpha. Few operations, for a
    # small picture costs little else. 255 minus what is missing is never half way between
    # two integers, so that adding a half and cutting off rounds it.
    tf = tensorflow()

    def blend():
        pixels = tf.cast(image, "float32")
        missing = (255.0 - pixels[..., :-1]) * pixels[..., -1:]
        return tf.cast(255.5 - missing * (1.0 / 255.0), "uint8")

    rows, columns, channels = tf.unstack(tf.shape(image))
    colours = tf.cond(channels % 2 == 0, blend, lambda: image)
    return tf.broadcast_to(colours, [rows, columns, 3])
