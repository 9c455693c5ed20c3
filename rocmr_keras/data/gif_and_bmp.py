"""What TensorFlow's decoder makes of two kinds of files is not what they show: mended here."""

from rocmr_keras.data.runtime import tensorflow

_WHITE = b"\xff" * 3


def first_of_gif(contents):
    """Makes a GIF of one opaque picture of the first picture of a GIF.

    TensorFlow would decode all pictures before it drops all but one (300 kB took 1.7 GB), draw
    transparent pixels black, and draw a picture that begins to the right of the screen's edge
    where it is not.

    Args:
        contents: String tensor `()`, the bytes of a GIF.

    Returns:
        String tensor `()`, the bytes of a GIF in which what was transparent is white, and its
        width and height, int64 scalars: zeros where no picture comes. Broken files raise an
        error inside the graph.
    """
    tf = tensorflow()
    data = tf.io.decode_raw(contents, "uint8")

    def byte(position):
        return tf.cast(data[position], "int32")

    def table_size(flags):
        size = tf.bitwise.left_shift(3, 1 + tf.bitwise.bitwise_and(flags, 7))
        return tf.where(flags >= 128, size, 0)

    def end_of_blocks(start):
        goes_on, step = lambda at: byte(at) > 0, lambda at: (at + 1 + byte(at),)
        return 1 + tf.while_loop(goes_on, step, (start,), parallel_iterations=1)[0]

    def pass_extension(at, transparent):
        # A graphic control: flags, two bytes of time, and which colour is none.
        found = tf.where(byte(at + 3) % 2 == 1, byte(at + 6), -1)
        return end_of_blocks(at + 2), tf.where(byte(at + 1) == 0xF9, found, transparent)

    tables = 13 + table_size(byte(10))
    is_extension = lambda at, _: byte(at) == 0x21  # noqa: E731
    start, transparent = tf.while_loop(
        is_extension, pass_extension, (tables, tf.constant(-1)), parallel_iterations=1
    )
    own = table_size(byte(start + 9))
    end = end_of_blocks(start + 11 + own)
    sides = tf.where(byte(start) == 0x2C, tf.cast(data[start + 5 : start + 9], "int64"), 0)

    def part(first, last):
        return tf.strings.substr(contents, first, last - first)

    def whitened(first, last):
        """A table of colours, the transparent one white."""
        place = first + 3 * transparent
        return tf.cond(
            (transparent >= 0) & (place + 3 <= last),
            lambda: tf.strings.join([part(first, place), _WHITE, part(place + 3, last)]),
            lambda: part(first, last),
        )

    # The screen is of the picture's size, and the picture at its corner.
    screen = [part(0, 6), part(start + 5, start + 9), part(10, 13), whitened(13, tables)]
    picture = [b",\0\0\0\0", part(start + 5, start + 10), whitened(start + 10, start + 10 + own)]
    kept = tf.strings.join([*screen, *picture, part(start + 10 + own, end), b";"])
    return kept, sides[0] + 256 * sides[1], sides[2] + 256 * sides[3]


def decode_bmp(contents):
    """Decodes a BMP, the colours of a palette in place of its numbers.

    Args:
        contents: String tensor `()`, the bytes of a BMP whose header was checked.

    Returns:
        uint8 tensor `(rows, columns, 3)`.
    """
    tf = tensorflow()

    def number(place, length=4):
        digits = tf.io.decode_raw(tf.strings.substr(contents, place, length), "uint8")
        return tf.reduce_sum(tf.cast(digits, "int32") * [256**i for i in range(length)])

    def in_palette():
        given = number(46)
        used = tf.where(given == 0, 256, given)
        colours = tf.io.decode_raw(tf.strings.substr(contents, 14 + number(14), 4 * used), "uint8")
        # Blue, green, red and a zero.
        table = tf.reshape(colours, [-1, 4])[:, 2::-1]
        return tf.gather(table, tf.cast(tf.io.decode_bmp(contents)[..., 0], "int32"))

    return tf.cond(
        number(28, 2) == 8,
        in_palette,
        lambda: tf.io.decode_image(contents, 3, expand_animations=False),
    )
