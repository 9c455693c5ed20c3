import keras
import numpy as np

from rocmr_keras.attacks.checks import check_count
from rocmr_keras.attacks.strings.character_edits import LETTERS
from rocmr_keras.attacks.strings.character_edits import check_alphabet
from rocmr_keras.attacks.strings.character_edits import edit
from rocmr_keras.attacks.strings.character_edits import probe
from rocmr_keras.attacks.strings.words import WordRule
from rocmr_keras.attacks.strings.words import check_dictionary


@keras.saving.register_keras_serializable(package="rocmr_keras")
class CharacterDraws:
    """Draws the single-character edits among which `CharacterChoice` chooses in training.

    A compiled training step cannot edit strings, so the edits are drawn and tokenised
    before it. At each of several random places of a caption they are a blank, which probes
    the place, and random characters or a deletion. Pass an instance to
    `rocmr_keras.data.batches(...).with_edits`.

    Args:
        num_positions: Integer, places of a caption that are drawn. Defaults to `8`.
        num_characters: Integer, edits that are drawn at each of them. Defaults to `8`.
        alphabet: String, the characters that may be written. Defaults to the lower-case
            letters of English and the blank.
        dictionary: Set of words that no edit may make, or `None`, as in
            `CharacterEdits`. Defaults to `None`.
        seed: Integer. Defaults to `0`.

    Call arguments:
        caption: String.
        key: Integers; what is drawn depends on the seed, the key and the caption alone.

    Returns:
        Object array `shape` of strings, a row for each place, the probe first. What would
        be blank, or is not allowed, is the caption itself.

    Raises:
        ValueError: If a count is not positive, the alphabet or the dictionary is empty.

    Example:

    ```python
    draws = CharacterDraws(num_positions=2, num_characters=3)
    draws("a red apple", (0, 7)).shape  # (2, 4)
    ```

    Reference:
        - [Abad Rocamora et al., 2025](https://arxiv.org/abs/2506.03355), LEAF
    """

    def __init__(
        self, num_positions=8, num_characters=8, alphabet=LETTERS, dictionary=None, seed=0
    ):
        self.num_positions = check_count("num_positions", num_positions)
        self.num_characters = check_count("num_characters", num_characters)
        self.alphabet = check_alphabet(alphabet)
        self.dictionary = check_dictionary(dictionary)
        self.seed = seed

    @property
    def shape(self):
        """Places, and strings at each: the probe and the edits."""
        return self.num_positions, 1 + self.num_characters

    def __call__(self, caption, key):
        # Not one running generator: batches may be prepared in any order, or resumed.
        random = np.random.default_rng([self.seed, *key])
        places = _draw(random, range(2 * len(caption) + 1), self.num_positions)
        rows = [[probe(caption, place), *self._edits(random, caption, place)] for place in places]
        rule = WordRule(self.dictionary, caption)

        def allowed(text):
            return caption.strip() and text.strip() and rule.allows(text)

        # Replaced, not left out: all captions of a batch need equally many edits.
        rows = [[text if allowed(text) else caption for text in row] for row in rows]
        return np.array(rows, object)

    def _edits(self, random, caption, place):
        choices = [*self.alphabet, ""] if place % 2 else [*self.alphabet]
        return [edit(caption, place, c) for c in _draw(random, choices, self.num_characters)]

    def get_config(self):
        return {
            "num_positions": self.num_positions,
            "num_characters": self.num_characters,
            "alphabet": self.alphabet,
            "dictionary": None if self.dictionary is None else sorted(self.dictionary),
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def _draw(random, choices, count):
    """Draws without repetition as long as there is something to draw."""
    order = np.concatenate(
        [random.permutation(len(choices)) for _ in range(-(-count // len(choices)))]
    )
    return [choices[index] for index in order[:count]]
