import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import Goal
from rocmr_keras.attacks import objectives


def test_a_goal_is_the_objective_against_the_target(make_target, gallery):
    embeddings = ops.convert_to_tensor(np.concatenate([gallery[:4], gallery[1:]]))
    found = Goal(make_target(), "margin")(embeddings)
    expected = objectives.margin(embeddings, make_target())
    np.testing.assert_array_equal(*map(ops.convert_to_numpy, (found, expected)))
    assert found.shape == (8,)


def test_a_model_is_asked_for_raw_embeddings_only_where_needed(make_target):
    assert Goal(make_target()).encoding == {"training": False}
    raw = Goal(make_target(), "embedding_distance", normalize=False)
    assert raw.encoding == {"training": False, "normalize": False}


def test_unknown_objective(make_target):
    with pytest.raises(ValueError, match="`objective` must be one of .*'entropy'"):
        Goal(make_target(), "entropy")
