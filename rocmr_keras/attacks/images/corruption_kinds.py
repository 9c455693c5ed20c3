"""What `Corruption` does to images in [0, 1], by kind: the amounts, and who changes them.

A maker takes the amount and a seed generator, and returns a function of images.
"""

import io
import math

import keras
import numpy as np
from keras import ops

from rocmr_keras.backend import draw_rows

_OPTIONS = {"dtype": "float32", "data_format": "channels_last"}
_RANGE = (0.0, 1.0)

#: By kind, what severities 1 to 5 mean; the docstring of `Corruption` has their units.
AMOUNTS = {
    "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),
    "darkness": (0.1, 0.2, 0.3, 0.4, 0.5),
    "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),
    "grey": (0.2, 0.4, 0.6, 0.8, 1.0),
    "blur": (0.4, 0.6, 0.7, 0.8, 1.0),
    "noise": (0.08, 0.12, 0.18, 0.26, 0.38),
    "jpeg": (25, 18, 15, 10, 7),
    "shift": (0.02, 0.04, 0.06, 0.08, 0.1),
    "rotation": (6, 12, 18, 24, 30),
    "zoom": (1.1, 1.15, 1.2, 1.25, 1.3),
}
_BLUR_HEIGHT = 32


def _always(layer):
    """Augmentation layers change nothing outside of training."""
    return lambda images: layer(images, training=True)


def _fixed(amount):
    """The range from which a layer can draw one number only."""
    return (amount, amount)


def _brightness(amount, seed):
    return _always(keras.layers.RandomBrightness(_fixed(amount), _RANGE, **_OPTIONS))


def _darkness(amount, seed):
    return _brightness(-amount, seed)


def _contrast(amount, seed):
    # The layer draws from around 1 only, but also takes what was drawn elsewhere.
    layer = keras.layers.RandomContrast(0.0, _RANGE, **_OPTIONS)
    return lambda images: layer.transform_images(images, {"contrast_factor": amount})


def _grey(amount, seed):
    return _always(keras.layers.RandomColorDegeneration(_fixed(amount), _RANGE, **_OPTIONS))


def _blur(amount, seed):
    def blur(images):
        # Not `RandomGaussianBlur`, which has no deviation above one pixel.
        deviation = amount * images.shape[1] / _BLUR_HEIGHT
        reach = math.ceil(3 * deviation)
        sides = (0, 0), (reach, reach), (reach, reach), (0, 0)
        # Else black would flow in from outside.
        padded = ops.pad(images, sides, mode="symmetric")
        size = 2 * reach + 1
        blurred = ops.image.gaussian_blur(
            padded, (size, size), (deviation, deviation), data_format="channels_last"
        )
        return blurred[:, reach:-reach, reach:-reach]

    return blur


def _noise(amount, seed):
    def noise(images):
        return images + amount * draw_rows(keras.random.normal, ops.shape(images), seed=seed)

    return noise


def _jpeg(amount, seed):
    def jpeg(images):
        pixels = np.round(255.0 * np.clip(_known(images), *_RANGE))
        # Pixels written and read again, one image at a time.
        return ops.convert_to_tensor(np.stack([_through_jpeg(i, amount) for i in pixels]))

    return jpeg


def _through_jpeg(pixels, quality):
    file = io.BytesIO()
    try:
        keras.utils.save_img(file, pixels, "channels_last", "jpeg", scale=False, quality=quality)
    except ImportError as error:
        raise ImportError(
            "JPEG is written with Pillow, which is not installed. Run "
            '`pip install "rocmr-keras[pictures]"`.'
        ) from error
    return np.asarray(keras.utils.load_img(file), "float32") / 255.0


def _known(images):
    try:
        return ops.convert_to_numpy(images)
    # Each framework has its own error for an array that is not there yet.
    except Exception as error:
        raise ValueError(
            "The corruption 'jpeg' must be called outside of a compiled step. Received: "
            f"{type(images).__name__}. `evaluate` does so; to train, take another kind."
        ) from error


def _shift(amount, seed):
    factors = _fixed(amount), _fixed(amount)
    return _always(keras.layers.RandomTranslation(*factors, fill_mode="nearest", **_OPTIONS))


def _rotation(amount, seed):
    factor = _fixed(amount / 360)
    return _always(keras.layers.RandomRotation(factor, fill_mode="nearest", **_OPTIONS))


def _zoom(amount, seed):
    factor = _fixed(1 / amount - 1)
    return _always(keras.layers.RandomZoom(factor, fill_mode="nearest", **_OPTIONS))


CHANGES = {
    "brightness": _brightness,
    "darkness": _darkness,
    "contrast": _contrast,
    "grey": _grey,
    "blur": _blur,
    "noise": _noise,
    "jpeg": _jpeg,
    "shift": _shift,
    "rotation": _rotation,
    "zoom": _zoom,
}
