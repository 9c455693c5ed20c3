import keras

from rocmr_keras.attacks.checks import check_count
from rocmr_keras.attacks.strings.string_attack import StringAttack
from rocmr_keras.attacks.strings.string_attack import StringSearch
from rocmr_keras.attacks.strings.string_attack import highest
from rocmr_keras.attacks.strings.words import WordRule
from rocmr_keras.attacks.strings.words import check_dictionary
from rocmr_keras.attacks.strings.words import describe_dictionary

LETTERS = "abcdefghijklmnopqrstuvwxyz "


class CharacterAttack(StringAttack):
    """Base class of the attacks by single characters: alphabet, dictionary and config."""

    def __init__(self, num_edits, alphabet, dictionary, seed):
        super().__init__(seed=seed)
        self.num_edits = check_count("num_edits", num_edits)
        self.alphabet = check_alphabet(alphabet)
        self.dictionary = check_dictionary(dictionary)

    def describe(self):
        return {**self.get_config(), "dictionary": describe_dictionary(self.dictionary)}

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "num_edits": self.num_edits,
                "alphabet": self.alphabet,
                "dictionary": None if self.dictionary is None else sorted(self.dictionary),
            }
        )
        return config


@keras.saving.register_keras_serializable(package="rocmr_keras")
class CharacterEdits(CharacterAttack):
    """Charmer: inserts, deletes and replaces single characters by a greedy search.

    A caption of `n` characters has `2 n + 1` places: each character, which may be
    replaced or deleted, and the gaps around them, in which one may be inserted. Each place
    is first probed with a blank. At the `num_positions` places of the highest score every
    character of the alphabet is then tried, and the best edit is made if it raises the
    score. So each edit takes two calls of `score`. The edit distance to the caption is at
    most `num_edits`, and no caption becomes blank. Nothing is random.

    Args:
        num_edits: Integer, the most edits of a caption. Defaults to `1`.
        num_positions: Integer, places of each caption at which all characters are tried,
            or `None` for all places, without a probe. Defaults to `20`.
        alphabet: String, the characters that may be written. Defaults to the lower-case
            letters of English and the blank.
        dictionary: Set of words, or `None`. Where given, an edit may not make a word
            of the dictionary that the caption did not have, in any capitalisation: the
            meaning stays, the spelling suffers. Defaults to `None`.
        seed: Integer or `None`. Defaults to `None`.

    Raises:
        ValueError: If a count is not positive, the alphabet or the dictionary is empty.

    Example:

    ```python
    def score(strings, owners):
        return np.array([string.count("z") for string in strings], "float32")

    CharacterEdits(num_edits=2)(["a red apple"], score)  # two letters z
    ```

    Reference:
        - [Abad Rocamora et al., 2024](https://arxiv.org/abs/2405.04346), Charmer
        - [Abad Rocamora et al., 2025](https://arxiv.org/abs/2506.03355), LEAF
    """

    def __init__(self, num_edits=1, num_positions=20, alphabet=LETTERS, dictionary=None, seed=None):
        super().__init__(num_edits, alphabet, dictionary, seed)
        if num_positions is not None:
            check_count("num_positions", num_positions)
        self.num_positions = num_positions
        self._freeze()

    def search(self, captions, score):
        search = StringSearch(captions, score)
        rules = [WordRule(self.dictionary, caption) for caption in captions]
        active = [True] * len(captions)
        for _ in range(self.num_edits):
            places = self._best_places(search, active)
            edits = [
                self._edits(text, here, rule)
                for text, here, rule in zip(search.best, places, rules)
            ]
            # A caption that no edit has made worse would be tried with the same edits again.
            active = [index is not None for index in search.take(edits)]
        return search.best

    def _best_places(self, search, active):
        places = [range(2 * len(text) + 1) if go else () for text, go in zip(search.best, active)]
        if self.num_positions is None:
            return places
        probes = [[probe(text, p) for p in here] for text, here in zip(search.best, places)]
        return [highest(scores, self.num_positions) for scores in search.score(probes)]

    def _edits(self, text, places, rule):
        """Returns all different strings that one edit at one of the places makes."""
        # A dict, not a set: of equal scores the first wins, which no hash may decide.
        edits = {}
        for place in places:
            deletion = [""] if place % 2 else []
            for character in [*self.alphabet, *deletion]:
                edits[edit(text, place, character)] = None
        edits.pop(text, None)
        return [string for string in edits if string.strip() and rule.allows(string)]

    def get_config(self):
        config = super().get_config()
        config.update({"num_positions": self.num_positions})
        return config


def edit(text, place, character):
    """Changes one place of a text.

    Args:
        text: String of `n` characters.
        place: Integer from 0 to `2 n`; an even one is a gap, an odd one a character.
        character: String of one character, or an empty one to delete.
    """
    start, end = place // 2, (place + 1) // 2
    return text[:start] + character + text[end:]


def probe(text, place):
    """Puts a blank at a place; deletes what is blank already."""
    probed = edit(text, place, " ")
    return edit(text, place, "") if probed == text else probed


def check_alphabet(alphabet):
    if not isinstance(alphabet, str) or not alphabet:
        raise ValueError(
            "`alphabet` must be a string of at least one character. "
            f"Received: alphabet={alphabet!r}. Write e.g. alphabet='abc'."
        )
    return alphabet
