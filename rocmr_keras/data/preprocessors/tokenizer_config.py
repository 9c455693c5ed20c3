"""Whole KerasHub tokenizers as plain data: their own configs leave the vocabulary out."""

import base64

import keras


def serialize_tokenizer(tokenizer):
    """Describes a KerasHub tokenizer, its vocabulary included.

    Args:
        tokenizer: A WordPiece, byte-pair or SentencePiece tokenizer of KerasHub.

    Returns:
        A dict of plain data: `layer`, and what the tokenizer reads from files.
    """
    config = {"layer": keras.saving.serialize_keras_object(tokenizer)}
    if hasattr(tokenizer, "proto"):
        return {**config, "proto": base64.b64encode(tokenizer.proto).decode("ascii")}
    if hasattr(tokenizer, "merges"):
        merges = [str(merge) for merge in tokenizer.merges]
        return {**config, "vocabulary": dict(tokenizer.vocabulary), "merges": merges}
    return {**config, "vocabulary": list(tokenizer.vocabulary)}


def deserialize_tokenizer(config):
    """Builds a tokenizer from what `serialize_tokenizer` gave.

    Args:
        config: A dict.

    Returns:
        A KerasHub tokenizer.
    """
    tokenizer = keras.saving.deserialize_keras_object(config["layer"])
    if "proto" in config:
        tokenizer.set_proto(base64.b64decode(config["proto"]))
    elif "merges" in config:
        tokenizer.set_vocabulary_and_merges(config["vocabulary"], config["merges"])
    else:
        tokenizer.set_vocabulary(config["vocabulary"])
    return tokenizer


def tokens_of(tokenizer):
    """Lists the pieces of a tokenizer by id.

    Args:
        tokenizer: As above.

    Returns:
        A list of strings; `""` where no piece has the id.
    """
    if not hasattr(tokenizer, "merges"):
        return list(tokenizer.get_vocabulary())
    pieces = [""] * (max(tokenizer.vocabulary.values()) + 1)
    for piece, index in tokenizer.vocabulary.items():
        pieces[index] = piece
    return pieces
