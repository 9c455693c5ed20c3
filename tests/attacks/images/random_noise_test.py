import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import RandomNoise


@pytest.mark.parametrize("epsilon", [0.0, 8 / 255, 0.7])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_ball_and_box(norm, epsilon, images, check_budget):
    check_budget(RandomNoise(epsilon, norm, seed=0)(images), images, epsilon, norm)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_noise_is_at_the_full_radius(norm):
    grey = np.full((4, 4, 4, 3), 0.5, "float32")
    moved = (ops.convert_to_numpy(RandomNoise(0.25, norm, seed=0)(grey)) - grey).reshape(4, -1)
    if norm == "linf":
        np.testing.assert_allclose(np.abs(moved), 0.25, atol=1e-6)
    else:
        np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 0.25, atol=1e-6)
    assert np.abs(moved.mean()) < 0.05 and moved.min() < 0 < moved.max()


def test_value_range(images, check_budget):
    attack = RandomNoise(0.5, value_range=[0.25, 0.75], seed=0)
    images = 0.25 + images / 2
    check_budget(attack(images), images, 0.5, value_range=attack.value_range)


def test_attacks_compute_in_float32(images):
    found = RandomNoise(0.1, seed=0)(images.astype("float64"))
    expected = RandomNoise(0.1, seed=0)(images)
    assert str(found.dtype) == str(expected.dtype)
    np.testing.assert_array_equal(ops.convert_to_numpy(found), ops.convert_to_numpy(expected))


def test_bad_arguments(images):
    with pytest.raises(ValueError, match="Received: epsilon='4/255'. Write e.g. epsilon=4 / 255"):
        RandomNoise("4/255")
    with pytest.raises(ValueError, match="`norm` must be one of"):
        RandomNoise(0.1, norm="l1")
    with pytest.raises(ValueError, match="`value_range` must be a pair"):
        RandomNoise(0.1, value_range=(0.5, 0.5))
    with pytest.raises(ValueError, match="inputs of dtype int32. Divide"):
        RandomNoise(0.1)((255 * images).astype("int32"))
