"""Where the words of a caption are, in any script, and which ones may be new."""

import collections
import itertools
import re
import unicodedata
import zlib

# Apostrophes belong to a word inside it, not around it.
_WORD = re.compile(r"[^\s'’](?:\S*[^\s'’])?")


class _Separators(dict):
    """Maps what can be no part of a word to a blank, and remembers it."""

    def __missing__(self, code):
        character = chr(code)
        # Vowel signs and accents are marks (M), not letters.
        belongs = character.isalnum() or unicodedata.category(character)[0] == "M"
        self[code] = code if belongs or character in "'’" else " "
        return self[code]


_SEPARATORS = _Separators()


def word_spans(text):
    """Finds the words: runs of letters, digits and their marks.

    Args:
        text: String.

    Returns:
        List of `(start, end)`; hyphens and other punctuation separate words.
    """
    spans = [match.span() for match in _WORD.finditer(text.translate(_SEPARATORS))]
    return [(a, b) for a, b in spans if any(map(str.isalnum, text[a:b]))]


def pieces_of(text):
    """Takes a text apart into words and what stands around them.

    Args:
        text: String.

    Returns:
        List of strings that make up the text; odd ones are words, even ones are what stands
        between, before and behind, which may be empty.
    """
    bounds = [0, *(edge for span in word_spans(text) for edge in span), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(bounds)]


def frequent_words(captions, count=20):
    """Returns the words that occur most often.

    Args:
        captions: List of strings.
        count: Integer, the most words. Defaults to `20`.

    Returns:
        Tuple of casefolded strings, the most frequent first, equally frequent ones by
        alphabet.
    """
    folded = (caption.casefold() for caption in captions)
    counts = collections.Counter(text[a:b] for text in folded for a, b in word_spans(text))
    return tuple(sorted(counts, key=lambda word: (-counts[word], word))[:count])


class WordRule:
    """Forbids texts in which a word of a dictionary is new.

    A word that the caption had may stay or go, but may not appear more often: else
    "hat" could become "cat" where there is a cat already.

    Args:
        dictionary: Set of casefolded words, or `None`, which forbids nothing.
        caption: String, the caption as it was.
    """

    def __init__(self, dictionary, caption):
        self.dictionary = dictionary
        self.known = None if dictionary is None else self._count(caption)

    def allows(self, text):
        """Says whether `text` may stand in for the caption."""
        return self.dictionary is None or self._count(text) <= self.known

    def _count(self, text):
        text = text.casefold()
        words = (text[a:b] for a, b in word_spans(text))
        return collections.Counter(word for word in words if word in self.dictionary)


def check_dictionary(dictionary):
    """Returns a frozen set of casefolded words, or `None`."""
    if dictionary is None:
        return None
    words = () if isinstance(dictionary, str) else tuple(dictionary)
    if not words or not all(isinstance(word, str) for word in words):
        raise ValueError(
            "`dictionary` must be a collection of words. "
            f"Received: dictionary={dictionary!r:.200}. Pass a set of strings, or None "
            "to allow every word."
        )
    return frozenset(word.casefold() for word in words)


def describe_dictionary(dictionary):
    """Returns what a report says of a dictionary: a short string, or `None`."""
    if dictionary is None:
        return None
    # Thousands of words are no use in a report; a checksum tells two lists apart.
    words = "\n".join(sorted(dictionary)).encode("utf-8", "replace")
    return f"{len(dictionary)} words, crc32 {zlib.crc32(words):08x}"
