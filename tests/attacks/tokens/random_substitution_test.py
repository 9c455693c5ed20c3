import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import RandomSubstitution
from rocmr_keras.attacks import Vocabulary

#: Drawn from ids that may not be written, so that every substitution shows.
TOKEN_IDS = np.random.RandomState(0).randint(1, 20, size=(200, 6)).astype("int32")
POSITIONS = np.arange(6) < np.arange(200).reshape(-1, 1) % 5
ALLOWED = np.isin(np.arange(50), [20, 21, 33, 49])


def substitute(num_substitutions, seed=0):
    vocabulary = Vocabulary(None, None, ops.convert_to_tensor(ALLOWED))
    attack = RandomSubstitution(num_substitutions, seed=seed)
    found = attack(TOKEN_IDS, positions=POSITIONS, vocabulary=vocabulary)
    return ops.convert_to_numpy(found)


@pytest.mark.parametrize("num_substitutions", [1, 2, 9])
def test_as_many_tokens_as_asked_or_there_are(num_substitutions):
    changed = substitute(num_substitutions) != TOKEN_IDS
    expected = np.minimum(num_substitutions, POSITIONS.sum(axis=1))
    np.testing.assert_array_equal(changed.sum(axis=1), expected)
    assert not np.any(changed & ~POSITIONS)


def test_positions_and_tokens_are_drawn_evenly():
    found = substitute(1)
    changed = found != TOKEN_IDS
    counts = np.unique(found[changed], return_counts=True)
    assert counts[0].tolist() == [20, 21, 33, 49]
    assert counts[1].min() > 0.15 * changed.sum()
    # Forty texts have four positions.
    assert changed[POSITIONS.sum(axis=1) == 4].sum(axis=0)[:4].min() >= 3


def test_bad_count():
    with pytest.raises(ValueError, match="`num_substitutions` must be an integer.*=0"):
        RandomSubstitution(0)
