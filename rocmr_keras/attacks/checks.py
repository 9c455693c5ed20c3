"""Checks of arguments that several attacks share."""

import keras
from keras import ops


def check_budget(name, value, optional=False):
    """Returns `value` if it is a finite number that is not negative."""
    if value is None and optional:
        return None
    if not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise ValueError(
            f"`{name}` must be a finite number of at least 0. "
            f"Received: {name}={value!r}. Write e.g. {name}=4 / 255."
        )
    return value


def check_count(name, value, least=1):
    """Returns `value` if it is an int of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(
            f"`{name}` must be an integer of at least {least}. Received: {name}={value!r}."
        )
    return value


def check_range(name, value):
    """Returns `value` as a tuple if it is a pair of increasing numbers."""
    pair = tuple(value) if isinstance(value, (tuple, list)) else ()
    if len(pair) != 2 or not pair[0] < pair[1]:
        raise ValueError(
            f"`{name}` must be a pair (lowest, highest). "
            f"Received: {name}={value!r}. Images in [0, 1] have {name}=(0.0, 1.0)."
        )
    return pair


def check_float_images(images):
    """Returns `images` in float32; refuses integers, whose range is another."""
    dtype = keras.backend.standardize_dtype(images.dtype)
    if "float" not in dtype:
        raise ValueError(
            "An attack takes float images in its `value_range`. "
            f"Received: inputs of dtype {dtype}. Divide uint8 pixels by 255."
        )
    return ops.cast(images, "float32")


def check_modality(name, attack, modalities):
    """Refuses an attack that perturbs something else than `modalities`."""
    if attack.modality not in modalities:
        raise ValueError(
            f"`{name}` must perturb one of {modalities}. Received: "
            f"{type(attack).__name__}, which perturbs {attack.modality!r}. "
            "Choose an attack that fits."
        )
