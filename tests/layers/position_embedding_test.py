import numpy as np
import pytest
from keras import ops

from rocmr_keras.layers import PositionEmbedding


def test_a_short_sequence_takes_the_first_rows():
    layer = PositionEmbedding(4, 2)
    table = np.arange(8.0).reshape(4, 2)
    layer.set_weights([table])
    inputs = np.ones((2, 3, 2), "float32")
    np.testing.assert_allclose(ops.convert_to_numpy(layer(inputs)), inputs + table[:3])


def test_a_long_sequence_is_refused():
    with pytest.raises(ValueError, match="longer than the position table. Received: inputs.shape"):
        PositionEmbedding(2, 2)(np.ones((1, 3, 2), "float32"))


def test_config(check_config):
    check_config(PositionEmbedding(4, 2))


def test_bad_length():
    with pytest.raises(ValueError, match="at least 1. Received: sequence_length=0"):
        PositionEmbedding(0, 2)
