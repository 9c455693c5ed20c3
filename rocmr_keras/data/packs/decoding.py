import numpy as np

from rocmr_keras.data.image_headers import read_header
from rocmr_keras.data.images import JPEG
from rocmr_keras.data.images import UnreadableImage
from rocmr_keras.data.runtime import tensorflow

# Pixels of an image up to which those of one size are resized as one batch: of large ones
# the copy as floats would take more room than calls take time.
_SMALL = 256 * 256


def decode_chunk(preprocessor, images):
    """Decodes some images to the pixels of `preprocessor.load_pixels`, as fast as may be.

    Headers are looked at before anything is decoded, so that a small file cannot claim
    gigabytes. Only where something fails the images are read one by one, to find and name
    the bad ones.

    Args:
        preprocessor: `rocmr_keras.data.Preprocessor`.
        images: List of paths, or an array of images.

    Returns:
        uint8 array `(B, height, width, 3)`, and a dict from the position of what could not
        be read, whose pixels are zero, to its name and the reason.
    """
    if isinstance(images, np.ndarray):
        return np.stack([preprocessor.load_pixels(image) for image in images]), {}
    try:
        sizes, starts = map(set, zip(*map(_look_at, images)))
        is_small = len(sizes) == 1 and max(width * height for width, height in sizes) <= _SMALL
        return preprocessor.load_files(images, is_small, are_jpeg=starts == {JPEG}), {}
    except (OSError, ValueError, tensorflow().errors.OpError):
        return _decode_one_by_one(preprocessor, images)


def _decode_one_by_one(preprocessor, images):
    pixels, bad = np.zeros((len(images), *preprocessor.image_size, 3), "uint8"), {}
    for position, image in enumerate(images):
        try:
            pixels[position] = preprocessor.load_pixels(image)
        except UnreadableImage as error:
            bad[position] = [error.name, error.reason]
    return pixels, bad


def _look_at(path):
    """Returns width and height, and the first two bytes, of an image file."""
    with open(path, "rb") as file:
        start = file.read(2)
        file.seek(0)
        return read_header(file)[:2], start
