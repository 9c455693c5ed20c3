"""What a dual encoder refuses where the values are at hand: in NumPy arrays, not in a step."""

import numpy as np

from rocmr_keras.layers.token_embedding import check_rows_of_table


def check_vocabulary(text_encoder, preprocessor):
    """Refuses a preprocessor that gives ids beyond the token table.

    Args:
        text_encoder: A text tower.
        preprocessor: Object that may have `vocabulary_size`, or `None`.

    Raises:
        ValueError: If its vocabulary has more entries than the table rows.
    """
    rows, size = _rows(text_encoder), getattr(preprocessor, "vocabulary_size", None)
    if isinstance(size, int) and rows and size > rows:
        raise ValueError(
            "The token table must have a row for each entry of the vocabulary. Received: "
            f"a table of {rows} rows, preprocessor.vocabulary_size={size}. Build the text tower "
            "with the vocabulary size of the preprocessor."
        )


def check_range_of_pixels(images):
    """Refuses float images in a NumPy array that are not in [0, 1].

    Args:
        images: Anything; only arrays of floats are looked at.

    Raises:
        ValueError: If a value is out of range or not finite.
    """
    if not isinstance(images, np.ndarray) or images.dtype.kind != "f" or not images.size:
        return
    if not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(
            "`images` must be in [0, 1]. Received: images in "
            f"[{images.min()}, {images.max()}]. Divide by 255, or load them with the preprocessor."
        )


def check_tokens(text_encoder, token_ids, padding_mask):
    """Refuses, in NumPy arrays, ids that are not in the token table, and texts without a token.

    Args:
        text_encoder: A text tower.
        token_ids: Integers `(B, L)`.
        padding_mask: Booleans `(B, L)`.

    Raises:
        ValueError: If there is one.
    """
    check_rows_of_table(token_ids, _rows(text_encoder))
    if isinstance(padding_mask, np.ndarray) and padding_mask.ndim == 2:
        empty = np.flatnonzero(~padding_mask.astype(bool).any(axis=1))
        if len(empty):
            raise ValueError(
                "Every text must have a token. Received: padding_mask without True in row "
                f"{empty[0]}. The preprocessor writes [UNK] for an empty text."
            )


def _rows(text_encoder):
    rows = text_encoder.embedding_table.shape[0]
    return rows if isinstance(rows, int) else None
