import keras
import numpy as np

from rocmr_keras.attacks.checks import check_count
from rocmr_keras.attacks.strings.all_edits import FILLERS
from rocmr_keras.attacks.strings.all_edits import AllEdits
from rocmr_keras.attacks.strings.edit_kinds import KINDS


@keras.saving.register_keras_serializable(package="rocmr_keras")
class HumanDraws:
    """Draws edits that people make, among which `CharacterChoice` chooses in training.

    Beside `CharacterDraws` for edits of characters. There is nothing to probe: all draws
    are edits of one place, the caption, and the worst of them is taken. Pass an instance to
    `rocmr_keras.data.batches(...).with_edits`.

    Args:
        num_draws: Integer, texts that are drawn for each caption. Defaults to `8`.
        num_edits: Integer, edits of each. Defaults to `1`.
        kinds: As in `HumanEdits`.
        fillers: As in `HumanEdits`.
        dictionary: As in `HumanEdits`. Defaults to `None`.
        seed: Integer. Defaults to `0`.

    Call arguments:
        caption: String.
        key: Integers; what is drawn depends on the seed, the key and the caption alone.

    Returns:
        Object array `(1, num_draws)` of strings; the caption itself where no edit is
        possible.

    Raises:
        ValueError: If an argument is out of its range, as in `HumanEdits`.

    Example:

    ```python
    HumanDraws(num_draws=3)("a red apple", (0, 7)).shape  # (1, 3)
    ```
    """

    def __init__(
        self,
        num_draws=8,
        num_edits=1,
        kinds=tuple(KINDS),
        fillers=FILLERS,
        dictionary=None,
        seed=0,
    ):
        self.num_draws = check_count("num_draws", num_draws)
        self.num_edits = check_count("num_edits", num_edits)
        self._edits = AllEdits(kinds, fillers, dictionary)
        self.seed = seed

    @property
    def shape(self):
        """One place, and the strings for it."""
        return 1, self.num_draws

    def __call__(self, caption, key):
        # Not one running generator: batches may be prepared in any order, or resumed.
        random = np.random.default_rng([self.seed, *key])
        if not caption.strip():
            return np.full(self.shape, caption, object)
        draws = [self._edits.draw(random, caption, self.num_edits) for _ in range(self.num_draws)]
        return np.array([draws], object)

    def get_config(self):
        return {
            "num_draws": self.num_draws,
            "num_edits": self.num_edits,
            **self._edits.get_config(),
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**config)
