from rocmr_keras.data.runtime import tensorflow

MAX_PIXELS = 64_000_000


def decode_image(contents, image_size):
    """Decodes one file's bytes to an RGB image of a fixed size, in a graph.

    JPEG (grayscale and CMYK too), PNG (palette and 16 bits too), GIF (first
    frame), BMP and still WebP. Transparent pixels of a PNG or WebP are laid
    on white. A rotation noted in EXIF is not applied: TensorFlow's decoder
    does not read it, and training and serving must see the same picture.

    Args:
        contents: String tensor `()`, the bytes of an image file.
        image_size: Tuple of two ints, height and width of the result.

    Returns:
        A uint8 tensor `(height, width, 3)`.
    """
    tf = tensorflow()
    head = tf.strings.substr(contents, 0, 4)
    image = tf.cond(
        (head == b"\x89PNG") | (head == b"RIFF"),
        lambda: _on_white(
            tf.io.decode_image(contents, channels=0, expand_animations=False)
        ),
        lambda: tf.io.decode_image(contents, channels=3, expand_animations=False),
    )
    image.set_shape((None, None, 3))
    return fit_image(image, image_size)


def fit_image(image, image_size):
    """Crops the centre to the target's aspect ratio, then resizes with antialiasing.

    Cropping before resizing keeps a very long picture from being blown up to
    a size of which nearly everything is thrown away. The result is rounded to
    the uint8 grid, so that a cached image and a fresh one are the same.

    Args:
        image: Tensor `(rows, columns, 3)`, uint8 or float in `[0, 255]`.
        image_size: Tuple of two ints, height and width of the result.

    Returns:
        A uint8 tensor `(height, width, 3)`.
    """
    tf = tensorflow()
    height, width = image_size
    rows, columns = tf.unstack(tf.cast(tf.shape(image)[:2], "int64"))
    kept_rows = tf.clip_by_value(columns * height // width, 1, rows)
    kept_columns = tf.clip_by_value(rows * width // height, 1, columns)
    top = (rows - kept_rows) // 2
    left = (columns - kept_columns) // 2
    image = image[top : top + kept_rows, left : left + kept_columns]
    image = tf.image.resize(image, image_size, antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(image), 0, 255), "uint8")


def to_float(images):
    """Converts uint8 pixels to float32 in `[0, 1]`, in a graph.

    Args:
        images: uint8 tensor of any shape.

    Returns:
        A float32 tensor of the same shape.
    """
    return tensorflow().cast(images, "float32") / 255.0


def _on_white(image):
    tf = tensorflow()
    channels = tf.shape(image)[-1]
    has_alpha = tf.logical_or(channels == 2, channels == 4)
    colour = tf.cond(has_alpha, lambda: image[..., :-1], lambda: image)
    alpha = tf.cond(has_alpha, lambda: image[..., -1:], lambda: tf.fill(tf.shape(image[..., -1:]), tf.constant(255, "uint8")))
    colour, alpha = tf.cast(colour, "float32"), tf.cast(alpha, "float32") / 255.0
    blended = tf.round(colour * alpha + 255.0 * (1.0 - alpha))
    return tf.cast(tf.broadcast_to(blended, tf.concat([tf.shape(blended)[:2], [3]], 0)), "uint8")
