"""What `RoCMR.fit` refuses before it begins: arguments and arrays that cannot be trained on."""

import keras
import numpy as np

from rocmr_keras.layers.token_embedding import check_rows_of_table

_REFUSED = ("y", "sample_weight", "class_weight")
#: What a batch must hold of each side, one of these.
_SIDES = {"images": ("images", "image_features"), "texts": ("token_ids", "text_features")}


def check_fit(trainer, arguments):
    """Refuses arguments that Keras would take and `RoCMR` has no use for, and bad arrays.

    Args:
        trainer: The `RoCMR`.
        arguments: Dict of the arguments of `keras.Model.fit`.

    Raises:
        ValueError: If there are targets, weights of examples or classes, compiled losses or
            metrics, no batches, or an array of training or validation does not fit.
    """
    given = [name for name in _REFUSED if arguments.get(name) is not None]
    compiled = trainer.get_compile_config() or {} if trainer.compiled else {}
    given += [name for name in ("loss", "metrics", "weighted_metrics") if compiled.get(name)]
    if given:
        raise ValueError(
            "RoCMR has its own loss and metrics, and the pairs are the supervision. Received: "
            f"{', '.join(f'`{name}`' for name in given)}. Leave it out; weights and loss are "
            "`terms` and `loss` of the constructor, recall of whole splits is "
            "`rocmr_keras.evaluation.evaluate`."
        )
    data = arguments.get("x")
    if data is None or hasattr(data, "caption_image_ids"):
        raise ValueError(
            f"`fit` trains on batches. Received: x={data!r}. Pass for example "
            "`rocmr_keras.data.batches(split, preprocessor, 64)`, or a dict of arrays."
        )
    for name in ("x", "validation_data"):
        if isinstance(arguments.get(name), dict):
            check_arrays(arguments[name], _rows(trainer.dual_encoder))


def check_keys(batch):
    """Refuses a batch without what is needed, or with ids that are no integers.

    Args:
        batch: Dict.

    Raises:
        ValueError: If a key is missing, parts have different lengths, or ids are strings.
    """
    missing = [keys[0] for keys in _SIDES.values() if not any(key in batch for key in keys)]
    if "token_ids" in batch and "padding_mask" not in batch:
        missing.append("padding_mask")
    if missing:
        raise ValueError(
            "A batch must hold `images`, `token_ids` and `padding_mask`, and may hold "
            f"`image_ids`. Received: {sorted(batch)}, without {', '.join(missing)}. "
            "`rocmr_keras.data.batches` makes such batches."
        )
    lengths = {name: _length(value) for name, value in batch.items()}
    known = {name: length for name, length in lengths.items() if length is not None}
    if len(set(known.values())) > 1:
        raise ValueError(
            f"All parts of a batch must be of one length. Received: {known}. "
            "An image with several captions comes once for each of them."
        )
    if "image_ids" in batch:
        ids = batch["image_ids"]
        # A symbolic tensor is none of NumPy's.
        dtype = str(ids.dtype if hasattr(ids, "dtype") else np.asarray(ids).dtype)
        if "int" not in dtype:
            raise ValueError(
                "`image_ids` must be integers in a batch. Received: image_ids of dtype "
                f"{dtype}. `rocmr_keras.data.Split` numbers ids of any kind; or use "
                "`numpy.unique(ids, return_inverse=True)[1]`."
            )


def _length(value):
    """Returns the first dimension, `None` where a traced step does not know it."""
    shape = value.shape if hasattr(value, "shape") else np.shape(value)
    # One of TensorFlow may not even know how many dimensions there are.
    is_unknown = getattr(shape, "rank", 0) is None
    return None if is_unknown or not len(shape) else shape[0]


def check_arrays(batch, rows=None):
    """Refuses NumPy arrays whose values are out of their range.

    Args:
        batch: Dict, of which `images` may be an array `(batch, height, width, channels)` and
            `token_ids` one `(batch, length)`.
        rows: Integer, the rows of the token table. Defaults to `None`: unknown.

    Raises:
        ValueError: If a pixel is not uint8, and not finite or not in [0, 1], a token is not in the
            table, or a text has no token.
    """
    check_keys(batch)
    if isinstance(batch.get("images"), np.ndarray) and batch["images"].size:
        _check_images(batch["images"], batch.get("image_ids"))
    check_rows_of_table(batch.get("token_ids"), rows)
    mask = batch.get("padding_mask")
    if isinstance(mask, np.ndarray) and mask.ndim == 2 and not mask.any(axis=1).all():
        raise ValueError(
            "Every text must have a token. Received: padding_mask without True in row "
            f"{int(np.argmin(mask.any(axis=1)))}. The preprocessor writes [UNK] for an empty text."
        )


def _check_images(images, ids):
    least, most = images.min(), images.max()
    if images.dtype == "uint8" or images.dtype.kind == "f" and 0 <= least and most <= 1:
        return
    is_wrong = ~((images >= 0) & (images <= 1)).all(axis=tuple(range(1, images.ndim)))
    first = int(np.argmax(is_wrong))
    named = f", image_id={np.asarray(ids)[first]}" if ids is not None else ""
    raise ValueError(
        "`images` must be floats in [0, 1], or uint8. Received: images.dtype="
        f"{images.dtype}, range [{least}, {most}], {is_wrong.sum()} images of "
        f"{len(images)} out of it, first at position {first}{named}. "
        "Divide by 255, and leave out images with values that are not finite."
    )


def _rows(model):
    tower = getattr(model, "text_encoder", None)
    table = getattr(tower, "embedding_table", None)
    return None if table is None else keras.ops.shape(table)[0]
