import keras

from rocmr_keras.attacks.strings.character_edits import LETTERS
from rocmr_keras.attacks.strings.character_edits import CharacterAttack
from rocmr_keras.attacks.strings.character_edits import edit
from rocmr_keras.attacks.strings.words import WordRule

# Draws of one edit before a caption that allows none is left as it is.
_MOST_DRAWS = 100


@keras.saving.register_keras_serializable(package="rocmr_keras")
class RandomCharacterEdits(CharacterAttack):
    """Makes random edits of single characters: the control of `CharacterEdits`.

    It makes as many edits under the same rules, but at random places, with random
    characters or deletions. The score is ignored, so a result may be weaker than the
    caption.

    Args:
        num_edits: Integer, the edits of each caption. Defaults to `1`.
        alphabet: String, the characters that may be written. Defaults to the lower-case
            letters of English and the blank.
        dictionary: Set of words that no edit may make, or `None`. Defaults to `None`.
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        captions: List of strings.
        score: Ignored; taken so that it stands in for any attack on strings.

    Returns:
        List of strings.
    """

    def __init__(self, num_edits=1, alphabet=LETTERS, dictionary=None, seed=None):
        super().__init__(num_edits, alphabet, dictionary, seed)
        self._freeze()

    def search(self, captions, score=None):
        return [self._scramble(caption) for caption in captions]

    def _scramble(self, caption):
        rule, text = WordRule(self.dictionary, caption), caption
        for _ in range(self.num_edits):
            draws = (self._draw(text) for _ in range(_MOST_DRAWS))
            text = next((t for t in draws if t != text and t.strip() and rule.allows(t)), text)
        return text

    def _draw(self, text):
        place = int(self._generator.integers(2 * len(text) + 1))
        choices = [*self.alphabet, ""] if place % 2 else self.alphabet
        return edit(text, place, choices[int(self._generator.integers(len(choices)))])
