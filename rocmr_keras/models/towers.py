"""What a dual encoder asks of its towers and of what it is fed."""

import keras
from keras import ops

#: Of the protocol `TextTower`.
TEXT_MEMBERS = ("embed", "encode", "embedding_table")


def check(image_encoder, text_encoder, projection_dim):
    """Checks two towers and returns their widths.

    Args:
        image_encoder: Keras layer, a built tower.
        text_encoder: Keras layer, a built tower with `embed`, `encode` and
            `embedding_table`.
        projection_dim: Integer, or `None` if the widths must agree.

    Returns:
        Tuple of two integers, image and text width.

    Raises:
        ValueError: If a tower cannot be used, or the widths differ and
            `projection_dim` is `None`.
    """
    faults = [*_faults(image_encoder, "image_encoder"), *_faults(text_encoder, "text_encoder")]
    missing = [name for name in TEXT_MEMBERS if not hasattr(text_encoder, name)]
    if missing:
        faults.append(
            f"text_encoder={text_encoder} without {', '.join(missing)}: wrap it in a class that "
            "splits it at its token embedding"
        )
    if faults:
        raise ValueError(
            "`image_encoder` and `text_encoder` must be built Keras layers or models that tell "
            f"the width of their embeddings, and `text_encoder` must have "
            f"{', '.join(TEXT_MEMBERS)}. Received: {'; '.join(faults)}."
        )
    image_width, text_width = _width(image_encoder), _width(text_encoder)
    if projection_dim is None and image_width != text_width:
        raise ValueError(
            "Towers of different widths need a `projection_dim`. Received: "
            f"image width {image_width}, text width {text_width}, "
            "projection_dim=None. Pass e.g. "
            f"projection_dim={min(image_width, text_width)}."
        )
    return image_width, text_width


def _faults(tower, name):
    """Says what a tower lacks, and how to mend it."""
    if not isinstance(tower, keras.layers.Layer):
        return [f"{name}={tower}, which is no Keras layer: wrap it in one"]
    found = []
    if not tower.built:
        found.append(f"{name}={tower}, which is not built: call it once on a batch")
    width = _width(tower)
    if not isinstance(width, int):
        found.append(
            f"{name}={tower} with projection_dim={width}: give it an integer attribute "
            "`projection_dim`"
        )
    return found


def _width(tower):
    width = getattr(tower, "projection_dim", None)
    if width is None and tower.built and hasattr(tower, "output_shape"):
        width = tower.output_shape[-1]
    return width


def check_images(images):
    """Converts images to a tensor; refuses what is no float batch.

    Args:
        images: Float tensor `(B, H, W, 3)` in `[0, 1]`.

    Returns:
        The tensor.

    Raises:
        ValueError: If the rank, the channels or the dtype is another.
    """
    images = ops.convert_to_tensor(images)
    dtype = keras.backend.standardize_dtype(images.dtype)
    if len(images.shape) != 4 or images.shape[-1] != 3 or "float" not in dtype:
        raise ValueError(
            "`images` must be a float batch (B, H, W, 3) in [0, 1]. Received: "
            f"images of shape {tuple(images.shape)} and dtype {dtype}. Add a "
            "batch axis to a single image; divide uint8 pixels by 255."
        )
    return images


def is_strings(texts):
    """Whether `texts` is one string, or a list or array of them."""
    if isinstance(texts, (list, tuple)):
        return len(texts) > 0 and isinstance(texts[0], str)
    kind = getattr(getattr(texts, "dtype", None), "kind", None)
    return isinstance(texts, str) or kind in ("U", "O")


def tokenize(preprocessor, texts):
    """Tokenizes strings with the preprocessor of a model.

    Args:
        preprocessor: Object with `tokenize(texts)`, or `None`.
        texts: List of strings.

    Returns:
        Tuple of `(B, L)` token ids and `(B, L)` padding mask.

    Raises:
        ValueError: If there is no preprocessor or `texts` is one string.
    """
    if preprocessor is None:
        raise ValueError(
            "Encoding strings needs a preprocessor. Received: "
            f"texts={texts!r}, preprocessor=None. Build the model with a "
            "`preprocessor`, or pass token ids and a padding mask."
        )
    if isinstance(texts, str):
        raise ValueError(
            "`texts` must be a list of strings. Received: "
            f"texts={texts!r}. Put the caption into a list."
        )
    tokens = preprocessor.tokenize(list(texts))
    return tokens["token_ids"], tokens["padding_mask"]


def check_call_inputs(inputs):
    """Refuses a batch without what both towers need.

    Args:
        inputs: Dict with `images` or `image_features`, and `token_ids` and `padding_mask` or
            `text_features`.

    Raises:
        ValueError: If something is missing.
    """
    needed = set() if "image_features" in inputs else {"images"}
    needed |= set() if "text_features" in inputs else {"token_ids", "padding_mask"}
    missing = sorted(needed - set(inputs))
    if missing:
        raise ValueError(
            "A batch must be a dict with `images`, `token_ids` and `padding_mask`. Received: "
            f"{sorted(inputs)}, without {', '.join(missing)}. `encode_images` and `encode_texts` "
            "take one side."
        )


def check_token_ids(token_ids, padding_mask):
    """Converts token ids and their mask to tensors; refuses other shapes.

    Args:
        token_ids: Integer tensor `(B, L)`.
        padding_mask: Boolean tensor `(B, L)`.

    Returns:
        Tuple of the two tensors, int32 and bool.

    Raises:
        ValueError: If the mask is missing or a shape is not `(B, L)`.
    """
    if padding_mask is None:
        raise ValueError(
            "Token ids need a `padding_mask`. Received: padding_mask=None. "
            "Pass True at the real tokens, or pass strings."
        )
    token_ids = ops.convert_to_tensor(token_ids, dtype="int32")
    padding_mask = ops.convert_to_tensor(padding_mask, dtype="bool")
    if len(token_ids.shape) != 2 or len(padding_mask.shape) != 2:
        raise ValueError(
            "`token_ids` and `padding_mask` must have shape (B, L). Received: "
            f"token_ids.shape={tuple(token_ids.shape)}, "
            f"padding_mask.shape={tuple(padding_mask.shape)}. Add a batch "
            "axis to a single caption."
        )
    return token_ids, padding_mask
