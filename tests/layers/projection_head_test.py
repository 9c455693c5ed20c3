import numpy as np
import pytest
from keras import ops

from rocmr_keras.layers import ProjectionHead

INPUTS = np.random.RandomState(0).normal(size=(3, 4)).astype("float32")


def test_without_a_hidden_layer_a_product():
    head = ProjectionHead(4, 2)
    (kernel,) = head.get_weights()
    np.testing.assert_allclose(ops.convert_to_numpy(head(INPUTS)), INPUTS @ kernel, atol=1e-6)


def test_with_a_hidden_layer_scale_and_shift_of_the_features_do_not_count():
    head = ProjectionHead(4, 2, hidden_dim=5)
    first = ops.convert_to_numpy(head(INPUTS))
    assert first.shape == (3, 2) and np.abs(first).max() > 0
    np.testing.assert_allclose(ops.convert_to_numpy(head(3 * INPUTS + 7)), first, atol=1e-4)


def test_dropout_in_training_only():
    head = ProjectionHead(4, 2, hidden_dim=64, dropout=0.5)
    first, again = (ops.convert_to_numpy(head(INPUTS, training=False)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(ops.convert_to_numpy(head(INPUTS, training=True)) - first).max() > 1e-3


def test_config(check_config):
    check_config(ProjectionHead(4, 2, hidden_dim=5, dropout=0.1))


def test_bad_width():
    with pytest.raises(ValueError, match="at least 1. Received: input_dim=4, projection_dim=0"):
        ProjectionHead(4, 0)
