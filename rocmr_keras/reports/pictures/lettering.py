"""Text that fits: fonts, widths and lines, with what the font lacks replaced."""

import bisect
import functools
import os
import unicodedata

from rocmr_keras.reports.pictures.png import import_matplotlib


def wrap(words, width, measure, space, max_lines):
    """Lines of words that fit; too long words are cut, a too long text ends in an ellipsis."""
    lines, used = [[]], 0.0
    for piece in (piece for word in words for piece in _cut(word, width, measure)):
        needed = measure(piece)
        if lines[-1] and used + space + needed > width:
            if len(lines) == max_lines:
                _shorten(lines[-1], width, measure, space)
                break
            lines.append([])
            used = 0.0
        used += needed + (space if lines[-1] else 0.0)
        lines[-1].append(piece)
    return lines


def _shorten(line, width, measure, space):
    line.append(("…", None))
    while len(line) > 1 and _length(line, measure, space) > width:
        text, color = line.pop(-2)
        if len(line) == 1 and len(text) > 1:
            line.insert(0, (text[:-1], color))


def _length(line, measure, space):
    return sum(measure(word) for word in line) + space * (len(line) - 1)


def _cut(word, width, measure):
    """Yield a word in pieces that fit."""
    text, color = word
    while text:
        # Measuring is slow, and no character that fills a line is narrower than three pixels.
        sizes = range(1, min(len(text), max(1, int(width) // 3)) + 1)
        size = bisect.bisect_right(sizes, width, key=lambda size: measure((text[:size], color)))
        yield text[: max(1, size)], color
        text = text[max(1, size) :]


def clean(text):
    """The text with what the font cannot draw replaced by an empty box."""
    cleaned = []
    for character in text:
        category = unicodedata.category(character)
        # Joiners and variation selectors belong to the character before them.
        if category == "Cf" or "\ufe00" <= character <= "\ufe0f":
            continue
        if character.isspace() or category == "Cc":
            character = " "
        cleaned.append(character if ord(character) in _drawable() else "▯")
    return "".join(cleaned)


@functools.cache
def _drawable():
    """Code points that both weights of the font have."""
    from matplotlib.font_manager import get_font

    names = "DejaVuSans.ttf", "DejaVuSans-Bold.ttf"
    plain, bold = (set(get_font(_font_path(name)).get_charmap()) for name in names)
    return plain & bold


def font(size, bold):
    from matplotlib.font_manager import FontProperties

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return FontProperties(fname=_font_path(name), size=0.72 * size)


def _font_path(name):
    return os.path.join(import_matplotlib().get_data_path(), "fonts", "ttf", name)
