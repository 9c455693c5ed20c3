"""The size that an image file claims, read from its bytes with TensorFlow's own ops.

The twin of `rocmr_keras.data.image_headers`: there Python reads a file, here a graph reads a
string, and nothing is decoded before the size is known.
"""

import tensorflow as tf

# What can be said of an image before it is decoded; the position is the code.
REASONS = (
    "is fine",
    "is empty",
    "is not a JPEG, PNG, GIF, BMP or still WebP file",
    "claims too many pixels, or none",
    "is corrupt or truncated",
)
FINE, EMPTY, UNKNOWN, TOO_LARGE, CORRUPT = range(len(REASONS))
_HEAD = 32


def judge_header(contents, max_pixels):
    """Judges an image by its header.

    Raises an error inside the graph where the header itself is broken.

    Args:
        contents: String tensor `()`, the bytes of an image file.
        max_pixels: Integer, the largest product of width and height.

    Returns:
        The code, an int32 scalar, and the bytes to decode: the same, but of a GIF its first
        picture only. TensorFlow would decode all of them before it drops all but one: 300
        kB of GIF took 1.7 GB.
    """
    # Filled up with zeros: reading past the end would raise, and not say why.
    start = tf.strings.join([tf.strings.substr(contents, 0, _HEAD), b"\0" * _HEAD])
    head = tf.cast(tf.io.decode_raw(tf.strings.substr(start, 0, _HEAD), "uint8"), "int64")
    kind = _kind(start, head)
    keep = contents

    def size_of(read):
        return lambda: (*read(head), keep)

    branches = [
        lambda: (tf.constant(1, "int64"), tf.constant(1, "int64"), keep),
        lambda: (*_jpeg_size(contents), keep),
        size_of(_png_size),
        lambda: _first_of_gif(contents, head),
        size_of(_bmp_size),
        size_of(_webp_size),
    ]
    width, height, kept = tf.switch_case(kind, branches)
    # Neither product nor side can overflow: the sides have 32 bits at most.
    small = (width >= 1) & (height >= 1) & (width * height <= max_pixels)
    code = tf.where(small, FINE, TOO_LARGE)
    code = tf.where(kind > 0, code, UNKNOWN)
    return tf.where(tf.strings.length(contents) > 0, code, EMPTY), kept


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


def _first_of_gif(contents, head):
    data = tf.io.decode_raw(contents, "uint8")

    def byte(position):
        return tf.cast(data[position], "int32")

    def walk(goes_on, step, start):
        return tf.while_loop(goes_on, lambda at: (step(at),), (start,), parallel_iterations=1)[0]

    def end_of_blocks(start):
        return 1 + walk(lambda at: byte(at) > 0, lambda at: at + 1 + byte(at), start)

    def table_size(flags):
        size = tf.bitwise.left_shift(3, 1 + tf.bitwise.bitwise_and(flags, 7))
        return tf.where(flags >= 128, size, 0)

    start = 13 + table_size(tf.cast(head[10], "int32"))
    start = walk(lambda at: byte(at) == 0x21, lambda at: end_of_blocks(at + 2), start)
    end = end_of_blocks(start + 11 + table_size(byte(start + 9)))
    # Something else in the place of a picture: no pixels, which is refused.
    sides = tf.where(byte(start) == 0x2C, tf.cast(data[start + 5 : start + 9], "int64"), 0)
    kept = tf.strings.join([tf.strings.substr(contents, 0, end), b";"])
    return _number(sides, 0, 2), _number(sides, 2, 2), kept
