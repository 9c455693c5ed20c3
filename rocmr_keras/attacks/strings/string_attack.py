import copy

import numpy as np

from rocmr_keras.attacks.final_settings import FinalSettings


class StringAttack(FinalSettings):
    """Base class of attacks on captions as strings, before tokenization.

    Strings are no tensors, so unlike an `Attack` this is no Keras layer and runs outside
    compiled steps. It does not know the model but a function `score`, which it calls once
    per round of its search with all candidates of all captions. Subclasses implement
    `search(captions, score)`, which never gets a blank caption, and `get_config`.

    An attack cannot be changed after construction and has its own random generator: two
    calls draw different numbers, two attacks with the same seed draw the same ones.

    Args:
        seed: Integer, or `None` to draw one. Defaults to `None`.

    Attributes:
        side: `"texts"`, as that of an `Attack`.
        writes_text: `True`, as that of a `TokenAttack`.

    Call arguments:
        captions: List of strings.
        score: Callable `(strings, owners)` from `n` strings, and an integer array `(n,)`
            of the captions that they stand in for, to a float array `(n,)`: the loss
            of each string as a substitute for that caption, larger being worse for the
            model. A score that is not finite never wins.

    Returns:
        List of strings, none of a lower score than its caption. A caption that is
        empty or blank is returned as it is.

    Raises:
        ValueError: If `captions` is not a list of strings, or `score` returns another
            shape.
    """

    side = "texts"
    writes_text = True

    def __init__(self, seed=None):
        self.seed = seed
        self._generator = np.random.default_rng(seed)

    def __call__(self, captions, score):
        self._freeze_at_first_call()
        captions = _check_captions(captions)
        places = [index for index, caption in enumerate(captions) if caption.strip()]
        found = list(captions)
        if places:
            scorer = _Scorer(score, places)
            results = self.search([captions[place] for place in places], scorer)
            for place, result in zip(places, results):
                found[place] = result
        return found

    def search(self, captions, score):
        """Looks for the strings of the highest score.

        Args:
            captions: List of strings, none of them blank.
            score: Callable as in the call arguments, `owners` being indices of
                `captions`.

        Returns:
            List of as many strings.
        """
        raise NotImplementedError

    def fresh(self):
        """Returns the same attack as it was when it was built: nothing drawn yet."""
        # Not from the config, which holds no weights of a language model.
        attack = copy.copy(self)
        attack._generator = np.random.default_rng(self.seed)
        return attack

    def describe(self):
        """Returns the budget as plain and short values, for a report."""
        return self.get_config()

    def get_config(self):
        return {"seed": self.seed}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class StringSearch:
    """The best string of each caption so far.

    Args:
        captions: List of strings.
        score: Callable, see `StringAttack`.

    Attributes:
        best: List of strings.
        scores: Float array, the score of each.
    """

    def __init__(self, captions, score):
        self.best = list(captions)
        self._score = score
        self.scores = np.concatenate(self.score([[caption] for caption in captions]))

    def score(self, candidates):
        """Scores the candidates of all captions in one call.

        Args:
            candidates: A list of strings for each caption, which may be empty.

        Returns:
            A float array for each caption; minus infinity for a score that is not
            finite.
        """
        counts = [len(strings) for strings in candidates]
        if not sum(counts):
            return [np.zeros(0) for _ in counts]
        strings = [string for several in candidates for string in several]
        scores = self._score(strings, np.repeat(np.arange(len(counts)), counts))
        return np.split(scores, np.cumsum(counts)[:-1])

    def take(self, candidates):
        """Scores candidates and keeps each caption's best one if it is an improvement.

        Args:
            candidates: A list of strings for each caption, which may be empty.

        Returns:
            List of the index of the candidate taken, `None` where there was none.
        """
        taken = []
        for owner, scores in enumerate(self.score(candidates)):
            better = len(scores) > 0 and scores.max() > self.scores[owner]
            taken.append(int(np.argmax(scores)) if better else None)
            if better:
                self.best[owner] = candidates[owner][taken[-1]]
                self.scores[owner] = scores.max()
        return taken


def highest(scores, count):
    """Returns the indices of the highest scores, best first, the first of equals first.

    Args:
        scores: Float array `(n,)`.
        count: Integer, how many; `None` for all.
    """
    return np.argsort(-scores, kind="stable")[:count].tolist()


class _Scorer:
    """Renumbers the owners, and checks what comes back."""

    def __init__(self, score, places):
        self.score = score
        self.places = np.asarray(places)

    def __call__(self, strings, owners):
        scores = np.asarray(self.score(strings, self.places[owners]), "float64")
        if scores.shape != (len(strings),):
            raise ValueError(
                "`score` must return one number for each string, an array of shape "
                f"({len(strings)},). Received: shape {scores.shape}. Do not average."
            )
        return np.where(np.isfinite(scores), scores, -np.inf)


def _check_captions(captions):
    is_list = isinstance(captions, (list, tuple, np.ndarray))
    if not is_list or not all(isinstance(caption, str) for caption in captions):
        raise ValueError(
            "`captions` must be a list of strings. "
            f"Received: captions={captions!r:.200}. Put a single caption into a list."
        )
    # NumPy's own strings would be written as `np.str_('...')` into messages and reports.
    return [str(caption) for caption in captions]
