import numpy as np
from keras import ops

from rocmr_keras.trainers import penalties


def test_squared_distance():
    moved = ops.convert_to_tensor([[3.0, 4.0], [1.0, 1.0]])
    clean = ops.convert_to_tensor([[0.0, 0.0], [1.0, 0.0]])
    assert float(ops.convert_to_numpy(penalties.squared_distance(moved, clean))) == 13.0


def test_symmetric_divergence_equals_its_numpy_twin():
    first, second = np.random.RandomState(0).normal(size=(2, 3, 4)).astype("float32")
    total = 0.0
    for p, q in ((first, second), (first.T, second.T)):
        p, q = (np.exp(x) / np.exp(x).sum(1, keepdims=True) for x in (p, q))
        both = p * np.log(p / q) + q * np.log(q / p)
        total += both.sum(1).mean() / 2
    tensors = [ops.convert_to_tensor(value) for value in (first, second)]
    found = float(ops.convert_to_numpy(penalties.symmetric_divergence(*tensors)))
    np.testing.assert_allclose(found, total, rtol=1e-5)


def test_equal_logits_do_not_diverge():
    logits = ops.convert_to_tensor(np.eye(3, dtype="float32") * 50)
    assert float(ops.convert_to_numpy(penalties.symmetric_divergence(logits, logits))) == 0.0
