import collections
import re
import unicodedata

_SEPARATORS = re.compile(r"[\s_:\-–]+")
_QUOTES = re.compile(r"[“”\"()!.,]")
_MACHINE_WORD = re.compile(r"[a-z]\d|^flag [a-z]{2}$")
_TYPOGRAPHER_WORDS = frozenset("black white heavy squared negative cjk ideograph latin".split())
_FEWEST_LETTERS = 3


def code_points(text):
    """Names an emoji by its code points, without the variation selector.

    Args:
        text: String, an emoji; or the stem of a drawing's file name, code
            points in hex joined by `-`.

    Returns:
        A tuple of upper-case strings of at least four hex digits.
    """
    is_file_name = re.fullmatch(r"[0-9A-Fa-f]{2,6}(-[0-9A-Fa-f]{2,6})*", text)
    codes = text.split("-") if is_file_name else [f"{ord(character):X}" for character in text]
    return tuple(code.upper().zfill(4) for code in codes if code.upper() != "FE0F")


def natural(name):
    """Turns a short name such as `:red_apple:` into words such as `red apple`.

    Args:
        name: String.

    Returns:
        A lower-case string.
    """
    words = unicodedata.normalize("NFC", name).replace("’", "'").lower()
    return _SEPARATORS.sub(" ", _QUOTES.sub("", words)).strip()


def is_spoken(caption):
    """Tells whether a person would say `caption`: not `u7121`, `flag ug` or `+1`.

    Args:
        caption: String as from `natural`.

    Returns:
        Boolean.
    """
    letters = sum(character.isalpha() for character in caption)
    return letters >= _FEWEST_LETTERS and not _MACHINE_WORD.search(caption)


def is_plain(caption):
    """Tells a plain name from a typographer's, where black means filled.

    Args:
        caption: String as from `natural`.

    Returns:
        Boolean.
    """
    return not _TYPOGRAPHER_WORDS.intersection(caption.split())


def distinct(captions):
    """Keeps one of the captions that differ in blanks only, the best spaced one.

    Args:
        captions: Iterable of strings, best first.

    Returns:
        A list of strings in the order of first appearance.
    """
    best = {}
    for caption in filter(None, captions):
        key = re.sub(r"\W", "", caption)
        if key not in best or caption.count(" ") > best[key].count(" "):
            best[key] = caption
    return list(best.values())


def unambiguous(captions_of):
    """Drops every caption that several concepts claim.

    A concept's first caption is its official name and stays its own; only the
    others lose it.

    Args:
        captions_of: Dict of concept to list of captions, the official name first.

    Returns:
        A dict of the same keys, and the sorted list of captions that were
        dropped from one concept or more.
    """
    owners = {captions[0]: concept for concept, captions in captions_of.items()}
    claims = collections.Counter(c for captions in captions_of.values() for c in set(captions))
    kept = {
        concept: [c for c in captions if claims[c] == 1 or owners.get(c) == concept]
        for concept, captions in captions_of.items()
    }
    return kept, sorted(caption for caption, count in claims.items() if count > 1)
