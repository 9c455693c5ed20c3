import copy

import keras

from rocmr_keras.attacks.checks import check_count
from rocmr_keras.attacks.strings.masked_words import MaskedWords
from rocmr_keras.attacks.strings.string_attack import StringAttack
from rocmr_keras.attacks.strings.string_attack import StringSearch
from rocmr_keras.attacks.strings.string_attack import highest
from rocmr_keras.attacks.strings.words import pieces_of


@keras.saving.register_keras_serializable(package="rocmr_keras")
class MaskedWordSubstitution(StringAttack):
    """BERT-Attack: replaces words by what a masked language model predicts in their place.

    Unlike `TokenSubstitution` it uses no gradient and writes whole words that fit, so the
    caption stays fluent, though its meaning may change. Words are ranked by the score of
    the caption without them. At the best `num_positions` the language model predicts
    replacements, and each of these is scored. There is one such round per substitution, and
    a word is replaced at most once. Nothing is random.

    The published code of several vision-language attacks reads the prediction one token
    before the mask; here it is read at the mask.

    Args:
        masked_lm: A KerasHub masked language model of the BERT family (WordPiece), with
            its preprocessor, e.g. `keras_hub.models.BertMaskedLM`. Its head must be
            trained: where a preset holds a backbone only, `from_preset` leaves the head
            random, and without a warning. The config of the attack holds its
            architecture, neither weights nor vocabulary: an attack rebuilt from its
            config needs both before it can run.
        num_substitutions: Integer, the most words of a caption to replace. Defaults to
            `1`.
        num_candidates: Integer, words that are tried in each place. Defaults to `10`.
        num_positions: Integer, places of each caption that are tried in each round, or
            `None` for all, without a ranking. Defaults to `5`.
        sequence_length: Integer, the most tokens the language model reads of a caption, a
            window around the word; at most its preprocessor's. Defaults to `64`.
        batch_size: Integer, texts in a call of the language model, always as many.
            Defaults to `64`.
        seed: Integer or `None`. Defaults to `None`.

    Raises:
        ValueError: If a count is not positive, or the language model has no tokenizer
            with a mask token.

    Example:

    ```python
    masked_lm = keras_hub.models.BertMaskedLM.from_preset("masked_lm/")  # with a head
    attack = MaskedWordSubstitution(masked_lm, num_substitutions=1)
    ```

    Reference:
        - [Li et al., 2020](https://arxiv.org/abs/2004.09984), BERT-Attack
    """

    def __init__(
        self,
        masked_lm,
        num_substitutions=1,
        num_candidates=10,
        num_positions=5,
        sequence_length=64,
        batch_size=64,
        seed=None,
    ):
        super().__init__(seed=seed)
        self.num_substitutions = check_count("num_substitutions", num_substitutions)
        self.num_candidates = check_count("num_candidates", num_candidates)
        if num_positions is not None:
            check_count("num_positions", num_positions)
        self.num_positions = num_positions
        self.sequence_length = check_count("sequence_length", sequence_length, least=4)
        self.batch_size = check_count("batch_size", batch_size)
        self.masked_lm = masked_lm
        self._masked_words = MaskedWords(masked_lm, sequence_length, batch_size)
        self._freeze()

    def search(self, captions, score):
        search = StringSearch(captions, score)
        drafts = [Draft(caption) for caption in captions]
        for _ in range(self.num_substitutions):
            places = self._best_places(search, drafts)
            swaps = self._swaps(drafts, places)
            texts = [
                [draft.text(place, word) for place, word in several]
                for draft, several in zip(drafts, swaps)
            ]
            for owner, index in enumerate(search.take(texts)):
                if index is not None:
                    drafts[owner].write(*swaps[owner][index])
        return search.best

    def _best_places(self, search, drafts):
        """Returns the words to try: those whose removal raises the score most.

        A caption of no more than `num_positions` words needs no ranking: all are tried.
        """
        most = self.num_positions
        ranked = [most is not None and len(draft.open) > most for draft in drafts]
        probes = [
            [draft.text(place, "") for place in draft.open] if rank else []
            for draft, rank in zip(drafts, ranked)
        ]
        return [
            [draft.open[index] for index in highest(scores, most)] if rank else list(draft.open)
            for draft, rank, scores in zip(drafts, ranked, search.score(probes))
        ]

    def _swaps(self, drafts, places):
        """Returns the `(place, word)` that are tried of each draft."""
        gaps = [draft.gap(place) for draft, here in zip(drafts, places) for place in here]
        words = iter(self._masked_words.suggest(gaps, self.num_candidates))
        return [[(place, word) for place in here for word in next(words)] for here in places]

    def describe(self):
        config = self.get_config()
        parameters = f"{self.masked_lm.count_params()} parameters"
        config["masked_lm"] = f"{type(self.masked_lm).__name__}, {parameters}"
        return config

    def get_config(self):
        masked_lm = keras.saving.serialize_keras_object(self.masked_lm)
        # How it was trained is none of the attack's business.
        masked_lm.pop("compile_config", None)
        config = super().get_config()
        config.update(
            {
                "masked_lm": masked_lm,
                "num_substitutions": self.num_substitutions,
                "num_candidates": self.num_candidates,
                "num_positions": self.num_positions,
                "sequence_length": self.sequence_length,
                "batch_size": self.batch_size,
            }
        )
        return config

    @classmethod
    def from_config(cls, config):
        # KerasHub writes into the config that it reads.
        masked_lm = copy.deepcopy(config["masked_lm"])
        masked_lm = keras.saving.deserialize_keras_object(masked_lm)
        return cls(**{**config, "masked_lm": masked_lm})


class Draft:
    """A caption taken apart into words and what stands around them.

    Args:
        caption: String.

    Attributes:
        open: List of integers, the words that have not been replaced yet.
    """

    def __init__(self, caption):
        self._pieces = pieces_of(caption)
        self.open = list(range(1, len(self._pieces), 2))

    def text(self, place, word):
        """Returns the text with another word in one place."""
        before, after, _ = self.gap(place)
        return before + word + after

    def gap(self, place):
        """Returns the text before a word, the text after it, and the word."""
        pieces = self._pieces
        return "".join(pieces[:place]), "".join(pieces[place + 1 :]), pieces[place]

    def write(self, place, word):
        """Replaces a word for good."""
        self._pieces[place] = word
        self.open.remove(place)
