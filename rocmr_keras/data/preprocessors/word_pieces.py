"""How pieces of words become words again, by the marks that each kind of tokenizer sets."""

import functools
import re
import unicodedata

import numpy as np

_SPECIAL = re.compile(r"(\[.+\]|<.+>)(</w>)?$")
# In bytes; the tokenizer maps longer words to the unknown token.
_LONGEST_WORD = 100


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


def may_be_word(pieces, kind):
    """Says which pieces can be a word without any other piece, by their marks.

    Args:
        pieces: List of strings.
        kind: What `kind_of` gives.

    Returns:
        A boolean array: true where a piece begins a word, or ends one where ends are marked,
        unless it is special.
    """
    if kind == "word_piece":
        return np.array([not (is_special(p) or p.startswith("##")) for p in pieces])
    if kind == "end_of_word":
        ends = (p.endswith("</w>") and p != "</w>" and not is_special(p) for p in pieces)
        return np.array([*ends])
    mark = "▁" if kind == "sentence_piece" else "Ġ"
    return np.array([p.startswith(mark) and len(p) > 1 for p in pieces])


def is_one_word(piece, lowercase, strip_accents):
    """Whether WordPiece reads a piece of its own vocabulary, written alone, as that piece.

    Args:
        piece: String that begins a word and is not special.
        lowercase: Boolean, whether texts are case folded.
        strip_accents: Boolean, whether accents are taken off.

    Returns:
        Boolean; false where in doubt.
    """
    if lowercase and unicodedata.normalize("NFKC", piece.casefold()) != piece:
        return False
    marks = map(unicodedata.category, unicodedata.normalize("NFD", piece))
    if strip_accents and "Mn" in marks:
        return False
    return len(piece) == 1 or all(map(_belongs, piece)) and len(piece.encode()) <= _LONGEST_WORD


def _belongs(character):
    """Whether a character can stand beside others in a word: Chinese ones stand alone."""
    is_chinese = "\u3400" <= character <= "\u9fff" or "\uf900" <= character <= "\ufaff"
    is_letter = character.isalnum() or unicodedata.category(character)[0] == "M"
    return is_letter and not is_chinese and character < "\U00020000"


def join_pieces(pieces, kind):
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
