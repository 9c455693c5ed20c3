"""The edits that people make to a caption, one kind after the other.

Each kind is a function from the pieces of a text, see `pieces_of`, and the fillers to the
texts that one such edit makes, an iterator in reading order. Some may equal the text.
"""

import itertools
import unicodedata

from rocmr_keras.attacks.strings.keyboard import neighbors


def insert(pieces, fillers):
    """A filler before each word, or behind the last one."""
    places = range(1, len(pieces), 2)
    for place, filler in itertools.product(places, fillers):
        yield _write(pieces, place, f"{filler} {pieces[place]}")
    for filler in fillers:
        # A text without a word is one piece.
        last = max(len(pieces) - 2, 0)
        yield _write(pieces, last, f"{pieces[last]} {filler}")


def delete(pieces, fillers):
    """A word less, and a blank."""
    for place in range(1, len(pieces), 2):
        before, after = pieces[place - 1], pieces[place + 1]
        if not after[:1].isspace():
            before = before.rstrip()
        elif not before or before[-1].isspace():
            after = after.lstrip()
        yield "".join([*pieces[: place - 1], before, after, *pieces[place + 2 :]])


def swap(pieces, fillers):
    """Two neighbouring words in each other's place; punctuation stays where it is."""
    for place in range(1, len(pieces) - 2, 2):
        first, between, second = pieces[place : place + 3]
        yield "".join([*pieces[:place], second, between, first, *pieces[place + 3 :]])


def repeat(pieces, fillers):
    """A word twice."""
    for place in range(1, len(pieces), 2):
        yield _write(pieces, place, f"{pieces[place]} {pieces[place]}")


def case(pieces, fillers):
    """A word in capitals, with a capital, in small letters."""
    for place in range(1, len(pieces), 2):
        word = pieces[place]
        for changed in (word.upper(), word.capitalize(), word.lower()):
            yield _write(pieces, place, changed)


def split(pieces, fillers):
    """A blank inside a word."""
    for place, letters in _words(pieces):
        for cut in range(1, len(letters)):
            yield _write(pieces, place, f"{''.join(letters[:cut])} {''.join(letters[cut:])}")


def join(pieces, fillers):
    """No blank between two words."""
    for place in range(2, len(pieces) - 1, 2):
        if pieces[place].isspace():
            yield _write(pieces, place, "")


def typo(pieces, fillers):
    """A slip of the finger: a letter left out, doubled, after the next one, or a key beside."""
    for place, letters in _words(pieces):
        for index, letter in enumerate(letters):
            before, after = letters[:index], letters[index + 1 :]
            slips = [[], [letter, letter], *([key] for key in neighbors(letter))]
            for slip in slips if len(letters) > 1 else slips[1:]:
                yield _write(pieces, place, "".join([*before, *slip, *after]))
            if after:
                yield _write(pieces, place, "".join([*before, after[0], letter, *after[1:]]))


#: Each kind by name.
KINDS = {kind.__name__: kind for kind in (insert, delete, swap, repeat, case, split, join, typo)}
#: Kinds that may write another word by mistake.
SLIPS = ("split", "join", "typo")


def _write(pieces, place, text):
    return "".join([*pieces[:place], text, *pieces[place + 1 :]])


def _words(pieces):
    """Yields the place and the letters of each word, marks such as accents with their letter."""
    for place in range(1, len(pieces), 2):
        letters = []
        for character in pieces[place]:
            if letters and unicodedata.category(character)[0] == "M":
                letters[-1] += character
            else:
                letters.append(character)
        yield place, letters
