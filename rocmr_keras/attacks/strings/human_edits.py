import keras

from rocmr_keras.attacks.checks import check_count
from rocmr_keras.attacks.strings.all_edits import FILLERS
from rocmr_keras.attacks.strings.all_edits import AllEdits
from rocmr_keras.attacks.strings.edit_kinds import KINDS
from rocmr_keras.attacks.strings.string_attack import StringAttack
from rocmr_keras.attacks.strings.string_attack import StringSearch
from rocmr_keras.attacks.strings.words import describe_dictionary


class HumanAttack(StringAttack):
    """Base class of the attacks by edits that people make: settings and config."""

    def __init__(self, num_edits, kinds, fillers, dictionary, seed):
        super().__init__(seed=seed)
        self.num_edits = check_count("num_edits", num_edits)
        self._edits = AllEdits(kinds, fillers, dictionary)
        self.kinds = self._edits.kinds
        self.fillers = self._edits.fillers
        self.dictionary = self._edits.dictionary

    def describe(self):
        return {**self.get_config(), "dictionary": describe_dictionary(self.dictionary)}

    def get_config(self):
        return {**super().get_config(), "num_edits": self.num_edits, **self._edits.get_config()}


@keras.saving.register_keras_serializable(package="rocmr_keras")
class HumanEdits(HumanAttack):
    """Edits captions as people do, by a greedy search over all such edits.

    Unlike `CharacterEdits` it changes words as well as letters, and what it writes is what
    people write by habit or by mistake, not any character anywhere:

    - `"insert"`: a filler before a word or at the end;
    - `"delete"`, `"swap"`, `"repeat"`: a word left out, in its neighbour's place, twice;
    - `"case"`: a word in capitals, with a capital, in small letters;
    - `"split"`, `"join"`: a blank inside a word, none between two;
    - `"typo"`: a letter left out, doubled, behind the next one, or a key beside it (QWERTY).

    In each round all edits of all captions are scored in one call, and the best one of
    each caption is made if it raises the score: a caption of 10 words has about 700. One
    edit changes at most two words, so at most `2 * num_edits` words differ in the end; a
    report says how many words and characters did, see `rocmr_keras.evaluation.evaluate`.
    No caption becomes blank. Nothing is random.

    Args:
        num_edits: Integer, the most edits of a caption. Defaults to `1`.
        kinds: Tuple of the names above, the edits that are tried. Defaults to all.
        fillers: Tuple of strings, what `"insert"` may write; `frequent_words` finds those
            of a data set. Defaults to ten words such as "a", "the" and "icon".
        dictionary: Set of words, or `None`. Where given, no split, join or typo may make a
            word of it that the text did not have, in any capitalisation, so that spelling
            suffers and not meaning. Defaults to `None`.
        seed: Integer or `None`. Defaults to `None`.

    Raises:
        ValueError: If `num_edits` is not positive, a kind is unknown, or there are no kinds,
            no fillers or no words in the dictionary.

    Example:

    ```python
    def score(strings, owners):
        return np.array([-len(string) for string in strings], "float32")

    HumanEdits(kinds=["delete"])(["a red apple"], score)  # "a red"
    ```

    Reference:
        - [Pruthi et al., 2019](https://arxiv.org/abs/1905.11268), misspellings by keyboard
        - [Belinkov and Bisk, 2018](https://arxiv.org/abs/1711.02173), noise of people
    """

    def __init__(
        self, num_edits=1, kinds=tuple(KINDS), fillers=FILLERS, dictionary=None, seed=None
    ):
        super().__init__(num_edits, kinds, fillers, dictionary, seed)
        self._freeze()

    def search(self, captions, score):
        search = StringSearch(captions, score)
        active = [True] * len(captions)
        for _ in range(self.num_edits):
            edits = [self._edits.every(t) if go else [] for t, go in zip(search.best, active)]
            # A caption that no edit has made worse would be tried with the same edits again.
            active = [index is not None for index in search.take(edits)]
        return search.best


@keras.saving.register_keras_serializable(package="rocmr_keras")
class RandomHumanEdits(HumanAttack):
    """Makes random edits that people make: the control of `HumanEdits`.

    Each edit is of a random kind, then a random one of that kind. The score is ignored, so
    a result may be weaker than the caption.

    Args:
        num_edits: Integer, the edits of each caption. Defaults to `1`.
        kinds: As in `HumanEdits`.
        fillers: As in `HumanEdits`.
        dictionary: As in `HumanEdits`. Defaults to `None`.
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        captions: List of strings.
        score: Ignored; taken so that it stands in for any attack on strings.

    Returns:
        List of strings.
    """

    def __init__(
        self, num_edits=1, kinds=tuple(KINDS), fillers=FILLERS, dictionary=None, seed=None
    ):
        super().__init__(num_edits, kinds, fillers, dictionary, seed)
        self._freeze()

    def search(self, captions, score=None):
        return [self._edits.draw(self._generator, text, self.num_edits) for text in captions]
