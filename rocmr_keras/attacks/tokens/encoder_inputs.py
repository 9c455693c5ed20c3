"""What attacks on texts need from a model: losses, positions and a vocabulary."""

import functools

import numpy as np
from keras import ops

from rocmr_keras.attacks.recorded_encoding import EncodedLoss
from rocmr_keras.attacks.recorded_encoding import RecordedEncoding
from rocmr_keras.attacks.tokens.vocabulary import Vocabulary
from rocmr_keras.backend import discard_updates


def embedding_losses(model, batch, goal):
    """Returns the loss of token embeddings, a function.

    Args:
        model: A `DualEncoder`, or anything with its `encode_text_embeddings`.
        batch: Dict with `padding_mask`, boolean `(batch, length)`.
        goal: A `Goal`.

    Returns:
        Callable from embeddings `(n * batch, length, dim)`, `n` stacked copies of the
        batch, to losses `(n * batch,)`.
    """
    padding_mask = batch["padding_mask"]

    def encode(embeddings):
        copies = ops.shape(embeddings)[0] // ops.shape(padding_mask)[0]
        attended = ops.tile(padding_mask, (copies, 1))
        return model.encode_text_embeddings(embeddings, attended, **goal.encoding)

    return EncodedLoss(encode, goal)


def float_embeddings(model, batch):
    """Returns the token embeddings of the texts, float32 `(batch, length, dim)`."""
    # In half precision small steps would be rounded away.
    return ops.cast(model.embed_tokens(batch["token_ids"]), "float32")


def record_texts(model, batch):
    """Returns the `RecordedEncoding` of the clean texts, for an attack on their embeddings."""
    encode = functools.partial(
        model.encode_text_embeddings, padding_mask=batch["padding_mask"], training=False
    )
    with discard_updates():
        inputs = float_embeddings(model, batch)
    return RecordedEncoding(encode, inputs)


def changeable(model, batch):
    """Returns where a text may change: neither padding nor special, boolean `(batch, length)`."""
    ordinary = ops.logical_not(ops.take(_special_tokens(model), batch["token_ids"]))
    return ops.logical_and(batch["padding_mask"], ordinary)


def vocabulary_of(model):
    """Returns the `Vocabulary` of a model, all but its special tokens."""
    return Vocabulary(
        model.embed_tokens,
        model.text_encoder.embedding_table,
        ops.logical_not(_special_tokens(model)),
        _whole_words(model),
        getattr(getattr(model, "preprocessor", None), "marks_word_ends", False),
    )


def _special_tokens(model):
    """Returns a boolean tensor `(vocabulary_size,)`, true at padding, start, end, ..."""
    # NumPy: a constant of the compiled step, not computed in it.
    ids = np.arange(model.text_encoder.embedding_table.shape[0])
    return ops.convert_to_tensor(np.isin(ids, model.special_token_ids))


def _whole_words(model):
    """Returns a boolean array `(vocabulary_size,)`, or `None` for a model without strings."""
    known = getattr(getattr(model, "preprocessor", None), "whole_word_mask", None)
    if known is None:
        return None
    # A table may have more rows than the preprocessor has pieces.
    mask = np.zeros(model.text_encoder.embedding_table.shape[0], "bool")
    mask[: len(known)] = known
    return mask
