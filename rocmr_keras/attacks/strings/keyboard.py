"""Which keys are beside which, on the keyboard that most of the data was typed on."""

import functools

# Rows of letters, and how far to the right of the first each begins, in keys.
_ROWS = (("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75))
# Squared, in keys: the two beside a key, and those above and below that touch it.
_REACH = 1.6


def neighbors(letter):
    """Returns the letters beside a letter on a QWERTY keyboard, in its case.

    Args:
        letter: String of one character.

    Returns:
        Tuple of strings; empty for what has no key of its own there.
    """
    found = _neighbors().get(letter.lower(), ())
    return found if letter.islower() else tuple(key.upper() for key in found)


@functools.cache
def _neighbors():
    keys = [
        (letter, place + shift, row)
        for row, (letters, shift) in enumerate(_ROWS)
        for place, letter in enumerate(letters)
    ]
    return {
        letter: tuple(other for other, u, v in keys if 0 < (u - x) ** 2 + (v - y) ** 2 < _REACH)
        for letter, x, y in keys
    }
