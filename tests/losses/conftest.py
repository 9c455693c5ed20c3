"""Similarities of a batch in which items share positives."""

import numpy as np
import pytest
from keras import ops

from rocmr_keras.backend import value_and_grad


@pytest.fixture
def evaluate():
    """Returns a loss of NumPy similarities as a Python float."""

    def evaluate(loss, similarities, positives, *args):
        similarities = ops.convert_to_tensor(np.asarray(similarities, "float32"))
        value = loss(similarities, ops.convert_to_tensor(positives), *args)
        assert tuple(value.shape) == ()
        return float(ops.convert_to_numpy(value))

    return evaluate


@pytest.fixture
def gradient_of():
    """Returns the gradient of a loss by the similarities as NumPy."""

    def gradient_of(loss, similarities, positives, *args):
        similarities = ops.convert_to_tensor(np.asarray(similarities, "float32"))
        positives = ops.convert_to_tensor(positives)
        _, gradient = value_and_grad(lambda s: ops.reshape(loss(s, positives, *args), (1,)))(
            similarities
        )
        return ops.convert_to_numpy(gradient)

    return gradient_of


@pytest.fixture(scope="session")
def similarities():
    return np.random.RandomState(0).uniform(-1, 1, size=(4, 4)).astype("float32")


@pytest.fixture(scope="session")
def positives():
    """The first and the third pair are of the same image."""
    ids = np.array([0, 1, 0, 2])
    return ids[:, None] == ids
