import numpy as np
import pytest
from keras import ops

from rocmr_keras.trainers.objective import batch_recall
from rocmr_keras.trainers.objective import squared_distance
from rocmr_keras.trainers.objective import symmetric_divergence


def test_squared_distance():
    moved = ops.convert_to_tensor([[3.0, 4.0], [1.0, 1.0]])
    clean = ops.convert_to_tensor([[0.0, 0.0], [1.0, 0.0]])
    assert float(ops.convert_to_numpy(squared_distance(moved, clean))) == 13.0


def test_symmetric_divergence_equals_its_numpy_twin():
    first, second = np.random.RandomState(0).normal(size=(2, 3, 4)).astype("float32")
    total = 0.0
    for p, q in ((first, second), (first.T, second.T)):
        p, q = (np.exp(x) / np.exp(x).sum(1, keepdims=True) for x in (p, q))
        both = p * np.log(p / q) + q * np.log(q / p)
        total += both.sum(1).mean() / 2
    tensors = [ops.convert_to_tensor(value) for value in (first, second)]
    found = float(ops.convert_to_numpy(symmetric_divergence(*tensors)))
    np.testing.assert_allclose(found, total, rtol=1e-5)


def test_equal_logits_do_not_diverge():
    logits = ops.convert_to_tensor(np.eye(3, dtype="float32") * 50)
    assert float(ops.convert_to_numpy(symmetric_divergence(logits, logits))) == 0.0


def recalls(images, texts, ids):
    images, texts, ids = (ops.convert_to_tensor(value) for value in (images, texts, ids))
    found = batch_recall([(images, texts), (texts, images)], ids)
    return [ops.convert_to_numpy(recall).tolist() for recall in found]


def test_hand_sized():
    images = np.array([[1.0, 0.0], [0.0, 1.0]], "float32")
    texts = np.array([[0.6, 0.8], [0.8, 0.6]], "float32")
    assert recalls(images, texts, [0, 1]) == [[0.0, 0.0], [0.0, 0.0]]
    assert recalls(images, texts[::-1], [0, 1]) == [[1.0, 1.0], [1.0, 1.0]]


@pytest.mark.processor
def test_ties_count_against_the_model():
    images = texts = np.array([[1.0, 0.0], [1.0, 0.0]], "float32")
    assert recalls(images, texts, [0, 1]) == [[0.0, 0.0], [0.0, 0.0]]


def test_any_positive_will_do():
    images = texts = np.eye(3, dtype="float32")
    assert recalls(images, texts[[1, 0, 2]], [7, 7, 9]) == [[1.0] * 3, [1.0] * 3]


def test_a_batch_of_one_pair_is_right():
    image = np.array([[1.0, 0.0]], "float32")
    assert recalls(image, -image, [0]) == [[1.0], [1.0]]
