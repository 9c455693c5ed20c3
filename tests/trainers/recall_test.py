import numpy as np
import pytest
from keras import ops

from rocmr_keras.trainers.recall import batch_recall


def recalls(images, texts, positives):
    tensors = [ops.convert_to_tensor(value) for value in (images, texts, positives)]
    return [ops.convert_to_numpy(recall).tolist() for recall in batch_recall(*tensors)]


def test_hand_sized():
    images = np.array([[1.0, 0.0], [0.0, 1.0]], "float32")
    texts = np.array([[0.6, 0.8], [0.8, 0.6]], "float32")
    assert recalls(images, texts, np.eye(2, dtype=bool)) == [[0.0, 0.0], [0.0, 0.0]]
    assert recalls(images, texts[::-1], np.eye(2, dtype=bool)) == [[1.0, 1.0], [1.0, 1.0]]


@pytest.mark.processor
def test_ties_count_against_the_model():
    images = texts = np.array([[1.0, 0.0], [1.0, 0.0]], "float32")
    assert recalls(images, texts, np.eye(2, dtype=bool)) == [[0.0, 0.0], [0.0, 0.0]]


def test_any_positive_will_do():
    images = texts = np.eye(3, dtype="float32")
    positives = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], bool)
    assert recalls(images, texts[[1, 0, 2]], positives) == [[1.0] * 3, [1.0] * 3]


def test_a_batch_of_one_pair_is_right():
    image = np.array([[1.0, 0.0]], "float32")
    assert recalls(image, -image, np.eye(1, dtype=bool)) == [[1.0], [1.0]]
