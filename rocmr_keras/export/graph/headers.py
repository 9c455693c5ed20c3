"""The size that an image file claims, read from its bytes with TensorFlow's own ops.

The twin of `rocmr_keras.data.image_headers`: there Python reads a file, here a graph reads a
string, and nothing is decoded before the size is known.
"""

import tensorflow as tf

from rocmr_keras.data.gif_and_bmp import first_of_gif
from rocmr_keras.data.image_headers import USUAL_MASKS

# What can be said of an image before it is decoded; the position is the code.
REASONS = (
    "is fine",
    "is empty",
    "is not a JPEG, PNG, GIF, BMP or still WebP file",
    "claims too many pixels, or none",
    "is corrupt or truncated",
    "is a BMP that is compressed, or not of 8, 24 or 32 bits",
)
FINE, EMPTY, UNKNOWN, TOO_LARGE, CORRUPT, RARE_BMP = range(len(REASONS))
_HEAD = 66
_BMP = 4


def judge_header(contents, max_pixels):
    """Judges an image by its header.

    Raises an error inside the graph where the header itself is broken.

    Args:
        contents: String tensor `()`, the bytes of an image file.
        max_pixels: Integer, the largest product of width and height.

    Returns:
        The code, an int32 scalar.
    """
    # Filled up with zeros: reading past the end would raise, and not say why.
    start = tf.strings.join([tf.strings.substr(contents, 0, _HEAD), b"\0" * _HEAD])
    head = tf.cast(tf.io.decode_raw(tf.strings.substr(start, 0, _HEAD), "uint8"), "int64")
    kind = _kind(start, head)
    branches = [
        lambda: (tf.constant(1, "int64"), tf.constant(1, "int64")),
        lambda: _jpeg_size(contents),
        lambda: _png_size(head),
        lambda: first_of_gif(contents)[1:],
        lambda: _bmp_size(head),
        lambda: _webp_size(head),
    ]
    width, height = tf.switch_case(kind, branches)
    # Neither product nor side can overflow: the sides have 32 bits at most.
    small = (width >= 1) & (height >= 1) & (width * height <= max_pixels)
    code = tf.where(small, FINE, TOO_LARGE)
    code = tf.where((kind == _BMP) & ~_is_usual_bmp(start, head), RARE_BMP, code)
    code = tf.where(kind > 0, code, UNKNOWN)
    return tf.where(tf.strings.length(contents) > 0, code, EMPTY)


def _kind(start, head):
    magics = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"RIFF")
    matches = [tf.strings.substr(start, 0, len(magic)) == magic for magic in magics]
    kind = tf.reduce_sum([tf.where(match, place, 0) for place, match in enumerate(matches, 1)])
    # Other things than WebP pictures come in RIFF files too; an animation has its flag.
    is_webp = tf.strings.substr(start, 8, 4) == b"WEBP"
    is_animated = (head[15] == ord("X")) & (head[20] // 2 % 2 == 1)
    return tf.where((kind == 5) & (~is_webp | is_animated), 0, kind)


def _jpeg_size(contents):
    height, width, _ = tf.unstack(tf.io.extract_jpeg_shape(contents, "int32"))
    return tf.cast(width, "int64"), tf.cast(height, "int64")


def _png_size(head):
    return _number(head, 16, 4, big=True), _number(head, 20, 4, big=True)


def _bmp_size(head):
    width, height = _number(head, 18, 4), _number(head, 22, 4)
    # Both are signed; a negative height says that the rows run from the top.
    return width, tf.where(height >= 2**31, 2**32 - height, height)


def _is_usual_bmp(start, head):
    bits, compression = _number(head, 28, 2), _number(head, 30, 4)
    size, used = _number(head, 14, 4), _number(head, 46, 4)
    is_masked = (compression == 3) & (tf.strings.substr(start, 54, 12) == USUAL_MASKS)
    is_plain = (compression == 0) & (bits >= 24)
    # Of 8 bits: the palette must end where pixels begin.
    end = 14 + size + 4 * tf.where(used == 0, tf.constant(256, "int64"), used)
    is_of_palette = (compression == 0) & (bits == 8) & (used <= 256)
    is_of_palette &= end <= _number(head, 10, 4)
    known = (bits == 8) | (bits == 24) | (bits == 32)
    return (size >= 40) & known & (is_plain | is_of_palette | (bits == 32) & is_masked)


def _webp_size(head):
    bits = _number(head, 21, 4)
    kinds = (
        # "VP8X", "VP8L" and "VP8 " differ in their fourth letter.
        (ord("X"), 1 + _number(head, 24, 3), 1 + _number(head, 27, 3)),
        (ord("L"), 1 + bits % 2**14, 1 + bits // 2**14 % 2**14),
    )
    width, height = _number(head, 26, 2) % 2**14, _number(head, 28, 2) % 2**14
    for letter, other_width, other_height in kinds:
        width = tf.where(head[15] == letter, other_width, width)
        height = tf.where(head[15] == letter, other_height, height)
    return width, height


def _number(data, start, length, big=False):
    places = range(length - 1, -1, -1) if big else range(length)
    return tf.add_n([data[start + i] * 256**place for i, place in enumerate(places)])
