"""Image files to pixels inside the graph: checked, then decoded, then fitted."""

import tensorflow as tf

from rocmr_keras.export.graph import headers

# One request decodes two images at a time: each may take a gigabyte.
_DECODERS = 2


def decode_images(contents, preprocessor, max_pixels):
    """Decodes a batch of image files as the preprocessor does.

    One bad image fails the request, with its position: an answer of another length, or a
    row of zeros, could be taken for an embedding.

    Args:
        contents: String tensor `(n,)`, bytes of image files.
        preprocessor: `rocmr_keras.data.Preprocessor`.
        max_pixels: Integer, the largest image that is decoded.

    Returns:
        A uint8 tensor `(n, height, width, 3)`.
    """
    blank = tf.zeros((*preprocessor.image_size, 3), "uint8")

    def read(position, content):
        code = headers.judge_header(content, max_pixels)
        pixels = tf.cond(
            code == headers.FINE, lambda: preprocessor.decode_graph(content), lambda: blank
        )
        return position, code, tf.ensure_shape(pixels, blank.shape)

    count = tf.size(contents, out_type="int64")
    images = tf.data.Dataset.from_tensor_slices(contents).enumerate()
    # What raises inside is left out, which tells its position; a map over a tensor would
    # stop there without saying where.
    images = images.map(read, num_parallel_calls=_DECODERS, deterministic=True).ignore_errors()
    # The row of no image keeps a batch of nothing from being none.
    nothing = (tf.constant(-1, "int64"), tf.constant(headers.FINE), blank)
    images = images.concatenate(tf.data.Dataset.from_tensors(nothing))
    positions, codes, pixels = images.batch(count + 1).get_single_element()
    checked = _check(positions[:-1], codes[:-1], count)
    with tf.control_dependencies([checked]):
        return tf.identity(pixels[:-1])


def _check(positions, codes, count):
    all_codes = tf.tensor_scatter_nd_update(
        tf.fill([count], headers.CORRUPT), positions[:, None], codes
    )
    bad = tf.where(all_codes != headers.FINE)[:, 0]
    first = tf.concat([bad, [0]], 0)[0]
    # The zero stands in where there is no image at all.
    code = tf.concat([all_codes, [headers.FINE]], 0)[first]
    message = tf.strings.join(
        [
            "images[",
            tf.strings.as_string(first),
            "] ",
            tf.gather(tf.constant(headers.REASONS), code),
            "; bad images in the request: ",
            tf.strings.as_string(tf.size(bad)),
            " of ",
            tf.strings.as_string(count),
        ]
    )
    return tf.debugging.Assert(tf.size(bad) == 0, [message])
