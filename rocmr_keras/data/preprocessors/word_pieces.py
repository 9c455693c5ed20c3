"""How pieces of words become words again, by the marks that each kind of tokenizer sets."""

import functools
import re

import numpy as np

_SPECIAL = re.compile(r"(\[.+\]|<.+>)(</w>)?$")


def kind_of(tokenizer):
    """Tells kinds of tokenizers apart by their pieces.

    Args:
        tokenizer: A KerasHub tokenizer.

    Returns:
        `"word_piece"` (`##` continues a word), `"sentence_piece"` (`▁` begins one),
        `"end_of_word"` (CLIP's `</w>` ends one) or `"byte_pair"` (`Ġ` is a blank).
    """
    if hasattr(tokenizer, "proto"):
        return "sentence_piece"
    if not hasattr(tokenizer, "merges"):
        return "word_piece"
    ends = any(piece.endswith("</w>") for piece in tokenizer.vocabulary)
    return "end_of_word" if ends else "byte_pair"


def is_special(piece):
    """Whether a piece is a mark such as `[MASK]`, `<unk>` or `[unused0]`, or empty."""
    return not piece or bool(_SPECIAL.match(piece)) and piece not in ("<</w>", "></w>")


def begins_word(pieces, kind):
    """Says which pieces begin a word and are not special.

    Args:
        pieces: List of strings.
        kind: What `kind_of` gives.

    Returns:
        A boolean array, or `None` where pieces mark the end of words instead.
    """
    if kind == "end_of_word":
        return None
    if kind == "word_piece":
        return np.array([not (is_special(p) or p.startswith("##")) for p in pieces])
    mark = "▁" if kind == "sentence_piece" else "Ġ"
    return np.array([p.startswith(mark) and len(p) > 1 for p in pieces])


def join(pieces, kind):
    """Joins the pieces of one text; words are right, blanks and case may differ.

    Args:
        pieces: List of strings, without marks.
        kind: What `kind_of` gives.

    Returns:
        A string.
    """
    if kind == "word_piece":
        return " ".join(pieces).replace(" ##", "")
    if kind == "sentence_piece":
        return "".join(pieces).replace("▁", " ").strip()
    text = "".join(pieces).replace("</w>", "Ġ")
    return bytes(_byte_of(c) for c in text).decode("utf-8", "replace").strip()


def _byte_of(character):
    return _bytes().get(character, ord("?"))


@functools.cache
def _bytes():
    """GPT-2's alphabet: printable bytes stand for themselves, others for what follows 255."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = {chr(byte): byte for byte in printable}
    return {**alphabet, **{chr(256 + index): byte for index, byte in enumerate(others)}}
