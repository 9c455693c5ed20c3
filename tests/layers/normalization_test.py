import numpy as np
from keras import ops

from rocmr_keras import backend
from rocmr_keras.layers import l2_normalize


def test_hand_sized():
    result = ops.convert_to_numpy(l2_normalize(ops.convert_to_tensor([[3.0, 4.0]])))
    np.testing.assert_allclose(result, [[0.6, 0.8]], rtol=1e-6)


def test_other_axis():
    x = np.random.RandomState(0).normal(size=(3, 2)).astype("float32")
    result = ops.convert_to_numpy(l2_normalize(ops.convert_to_tensor(x), axis=0))
    np.testing.assert_allclose(result, x / np.linalg.norm(x, axis=0), rtol=1e-5)


def test_half_precision_does_not_overflow():
    x = ops.convert_to_tensor(np.full((1, 4), 300.0), dtype="float16")
    result = l2_normalize(x)
    np.testing.assert_allclose(ops.convert_to_numpy(result), np.full((1, 4), 0.5), rtol=1e-6)


def test_zero_stays_zero_with_a_finite_gradient():
    def loss(x):
        return ops.sum(l2_normalize(x), axis=-1)

    zero = ops.zeros((2, 3))
    value, gradient = backend.value_and_grad(loss)(zero)
    np.testing.assert_array_equal(ops.convert_to_numpy(value), np.zeros(2))
    assert np.isfinite(ops.convert_to_numpy(gradient)).all()
