"""All texts that one edit of some kinds makes, for attacks and for draws in training."""

from rocmr_keras.attacks.strings.edit_kinds import KINDS
from rocmr_keras.attacks.strings.edit_kinds import SLIPS
from rocmr_keras.attacks.strings.words import WordRule
from rocmr_keras.attacks.strings.words import check_dictionary
from rocmr_keras.attacks.strings.words import frequent_words
from rocmr_keras.attacks.strings.words import pieces_of

#: Words that say nothing of a picture.
FILLERS = ("a", "the", "of", "and", "with", "very", "picture", "photo", "image", "icon")


def fillers_for(captions, count=10):
    """Returns what edits of such captions may insert: words that say nothing, or are repeated.

    Args:
        captions: List of strings.
        count: Integer, how many of the captions' most frequent words. Defaults to `10`.

    Returns:
        Tuple of strings, each once.
    """
    return tuple(dict.fromkeys((*FILLERS, *frequent_words(captions, count))))


class AllEdits:
    """Makes the texts that are one edit away from a text.

    Args:
        kinds: Collection of names among `KINDS`.
        fillers: Collection of strings, what `"insert"` may write.
        dictionary: Set of words that no slip may make, or `None`.

    Raises:
        ValueError: If a kind is unknown, or there is nothing to choose from.
    """

    def __init__(self, kinds, fillers, dictionary):
        self.kinds = _check_kinds(kinds)
        self.fillers = _check_fillers(fillers)
        self.dictionary = check_dictionary(dictionary)

    def of_kind(self, text, kind):
        """Returns a list of the different texts that one edit of a kind makes."""
        # A dict, not a set: of equal scores the first wins, which no hash may decide.
        edits = dict.fromkeys(KINDS[kind](pieces_of(text), self.fillers))
        edits.pop(text, None)
        rule = WordRule(self.dictionary if kind in SLIPS else None, text)
        return [edit for edit in edits if edit.strip() and rule.allows(edit)]

    def every(self, text):
        """Returns a list of the different texts that one edit makes."""
        return list(dict.fromkeys(edit for k in self.kinds for edit in self.of_kind(text, k)))

    def draw(self, random, text, count=1):
        """Returns a text after random edits, each kind being equally likely.

        Args:
            random: `numpy.random.Generator`.
            text: String.
            count: Integer, edits one after the other. Defaults to `1`.
        """
        for _ in range(count):
            kinds = (self.kinds[index] for index in random.permutation(len(self.kinds)))
            # Not every text has a word to swap, or a letter to slip on.
            edits = next(filter(None, (self.of_kind(text, kind) for kind in kinds)), [text])
            text = edits[int(random.integers(len(edits)))]
        return text

    def get_config(self):
        return {
            "kinds": list(self.kinds),
            "fillers": list(self.fillers),
            "dictionary": None if self.dictionary is None else sorted(self.dictionary),
        }


def _check_kinds(kinds):
    names = () if isinstance(kinds, str) else tuple(kinds)
    if not names or not set(names) <= set(KINDS) or len(set(names)) < len(names):
        raise ValueError(
            f"`kinds` must be different names among {tuple(KINDS)}. "
            f"Received: kinds={kinds!r}. Write e.g. kinds=('delete', 'typo')."
        )
    return names


def _check_fillers(fillers):
    words = () if isinstance(fillers, str) else tuple(fillers)
    if not words or not all(isinstance(word, str) and word.strip() for word in words):
        raise ValueError(
            "`fillers` must be a collection of strings, none of them blank. "
            f"Received: fillers={fillers!r:.200}. Write e.g. fillers=('a', 'the')."
        )
    return words
