"""What every evaluation takes: a model that reads strings and files, and a split."""

import numbers


def evaluated_model(model):
    """Returns the dual encoder inside a trainer, or the model itself.

    Args:
        model: A `DualEncoder`, an `Adapter`, or a `RoCMR`, of which a file of
            `keras.callbacks.ModelCheckpoint` is one.

    Raises:
        ValueError: If it has no preprocessor.
    """
    model = getattr(model, "dual_encoder", model)
    if getattr(model, "preprocessor", None) is None:
        raise ValueError(
            "`model` must be a dual encoder with a preprocessor, which reads captions and images. "
            f"Received: model={model!r:.200} without one. Build it with `preprocessor=...`, or "
            "set `model.preprocessor`."
        )
    return model


def check_split(split, batch_size):
    """Refuses what is no split, or an empty one, and a batch size that is no positive integer.

    Args:
        split: A `rocmr_keras.data.Split`, or something with its attributes.
        batch_size: Integer.

    Raises:
        ValueError: If one of them cannot be used.
    """
    if not all(hasattr(split, name) for name in ("images", "captions", "image_ids")):
        raise ValueError(
            "`split` must be a `rocmr_keras.data.Split`: batches do not say which captions "
            f"belong to an image. Received: split of type {type(split).__name__}. "
            "Pass for example `rocmr_keras.data.load(...)['test']`."
        )
    if len(split.images) < 1:
        raise ValueError(f"`split` must hold an image. Received: {split!r}. Choose another split.")
    is_integer = isinstance(batch_size, numbers.Integral) and not isinstance(batch_size, bool)
    if not is_integer or batch_size < 1:
        raise ValueError(
            f"`batch_size` must be an integer of at least 1. Received: batch_size={batch_size!r}. "
            "64 is usual."
        )


def check_named_attacks(attacks):
    """Refuses attacks that have no names.

    Args:
        attacks: Dict from a name to an attack or a `Threat`, or `None`.

    Raises:
        ValueError: If it is something else.
    """
    if attacks is not None and not isinstance(attacks, dict):
        raise ValueError(
            "`attacks` must be a dict from a name to an attack. Received: attacks of type "
            f"{type(attacks).__name__}. Write for example {{'pgd': PGD(8 / 255)}}."
        )
