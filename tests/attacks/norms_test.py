import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import norms

VECTORS = np.random.RandomState(0).normal(size=(5, 2, 3)).astype("float32")


def tensor(vectors):
    return ops.convert_to_tensor(vectors, dtype="float32")


def lengths(vectors, order, axes):
    if order == "linf":
        return np.abs(vectors).max(axis=axes)
    return np.sqrt(np.square(vectors.astype("float64")).sum(axis=axes))


@pytest.mark.parametrize("axes", [None, (-1,)])
@pytest.mark.parametrize("name", ["linf", "l2"])
def test_project_is_the_nearest_point(name, axes):
    projected = ops.convert_to_numpy(norms.get(name, axes).project(tensor(VECTORS), 0.9))
    if name == "linf":
        expected = np.clip(VECTORS, -0.9, 0.9)
    else:
        length = np.linalg.norm(VECTORS.reshape(5, -1), axis=1).reshape(5, 1, 1)
        if axes is not None:
            length = np.linalg.norm(VECTORS, axis=-1, keepdims=True)
        expected = VECTORS * np.minimum(1.0, 0.9 / length)
    np.testing.assert_allclose(projected, expected, atol=2e-6)
    assert lengths(projected, name, axes or (1, 2)).max() <= np.float32(0.9)
    assert np.abs(projected - VECTORS).max() > 0.1


@pytest.mark.parametrize("name", ["linf", "l2"])
def test_project_to_nothing(name):
    projected = norms.get(name).project(tensor(VECTORS), 0.0)
    np.testing.assert_array_equal(ops.convert_to_numpy(projected), 0.0 * VECTORS)


def test_radius_of_each_vector():
    ball = norms.get("l2", axes=(-1,))
    projected = ball.project(tensor(9.0 * VECTORS), tensor([[[0.1], [2.0]]]))
    projected = ops.convert_to_numpy(projected)
    np.testing.assert_allclose(np.linalg.norm(projected, axis=-1)[0], [0.1, 2.0], rtol=1e-5)


@pytest.mark.parametrize("name", ["linf", "l2"])
def test_confine_to_ball_and_range(name):
    clean = np.array([[0.0, 0.5, 0.95], [0.5, 0.5, 0.5], [1.0, 1.0, 1.0]], "float32")
    moved = np.array([[-0.1, 0.9, 1.5], [0.55, 0.5, 0.45], [9.0, 9.0, 9.0]], "float32")
    ball = norms.get(name)
    confined = ball.confine(tensor(clean), 0.1, (0.0, 1.0))(tensor(moved))
    confined = ops.convert_to_numpy(confined)
    projected = ops.convert_to_numpy(ball.project(tensor(moved - clean), 0.1))
    np.testing.assert_allclose(confined, np.clip(clean + projected, 0.0, 1.0), atol=1e-6)
    if name == "linf":
        expected = [[0.0, 0.6, 1.0], [0.55, 0.5, 0.45], [1.0, 1.0, 1.0]]
        np.testing.assert_allclose(confined, expected, atol=1e-6)
    assert lengths(confined - clean, name, (1,)).max() <= 0.1 + 1e-6


def test_ascend():
    signs = norms.get("linf").ascend(tensor(VECTORS))
    np.testing.assert_array_equal(ops.convert_to_numpy(signs), np.sign(VECTORS))
    units = ops.convert_to_numpy(norms.get("l2").ascend(tensor(VECTORS)))
    length = np.linalg.norm(VECTORS.reshape(5, -1), axis=1).reshape(5, 1, 1)
    np.testing.assert_allclose(units, VECTORS / length, atol=1e-6)


def test_ascend_by_tiny_huge_and_zero_gradients():
    # The squares of 1e-25 underflow and those of 1e25 overflow.
    scales = np.array([1e-25, 1.0, 1e25, 0.0, 1e-6], "float32").reshape(5, 1, 1)
    units = ops.convert_to_numpy(norms.get("l2").ascend(tensor(VECTORS * scales)))
    expected = [1.0, 1.0, 1.0, 0.0, 1.0]
    np.testing.assert_allclose(lengths(units, "l2", (1, 2)), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["linf", "l2"])
def test_sample_fills_the_ball_evenly(name):
    seed = keras.random.SeedGenerator(0)
    drawn = ops.convert_to_numpy(norms.get(name).sample((400, 2, 3), 0.5, seed))
    length = lengths(drawn, name, (1, 2))
    assert length.max() <= 0.5 + 1e-6
    # The share of the ball inside a uniform draw is uniform between 0 and 1.
    shares = (length / 0.5) ** 6
    np.testing.assert_allclose(np.quantile(shares, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.1)
    np.testing.assert_allclose(drawn.mean(axis=0), 0.0, atol=0.1)


@pytest.mark.parametrize("name", ["linf", "l2"])
def test_sample_of_the_surface(name):
    seed = keras.random.SeedGenerator(0)
    drawn = ops.convert_to_numpy(norms.get(name).sample_surface((400, 2, 3), 0.5, seed))
    np.testing.assert_allclose(lengths(drawn, name, (1, 2)), 0.5, rtol=1e-5)
    assert drawn.min() < 0 < drawn.max()


def test_bad_name():
    with pytest.raises(ValueError, match="Received: norm='l7'. Use 'linf'"):
        norms.get("l7")
