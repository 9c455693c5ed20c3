import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import Corruption
from rocmr_keras.attacks import corruptions


def change(images, kind, severity):
    return ops.convert_to_numpy(Corruption(kind, severity, seed=0)(images))


@pytest.fixture(scope="module")
def pictures():
    """Coloured tiles."""
    tiles = np.random.RandomState(0).uniform(size=(3, 8, 8, 3))
    return np.repeat(np.repeat(tiles, 4, axis=1), 4, axis=2).astype("float32")


@pytest.mark.parametrize("kind", corruptions())
def test_stronger_with_severity_in_range_and_the_same_by_seed(kind, pictures):
    kind = kind.removesuffix(" 3")
    mild, strong = (change(pictures, kind, severity) for severity in (1, 5))
    for found in (mild, strong):
        assert found.shape == pictures.shape and found.dtype == "float32"
        assert 0.0 <= found.min() and found.max() <= 1.0
    sizes = [np.abs(found - pictures).mean() for found in (mild, strong)]
    assert 0.001 < sizes[0] < sizes[1]
    np.testing.assert_array_equal(change(pictures, kind, 5), strong)


def test_amounts_of_light_and_colour(pictures):
    expected = {
        "brightness": np.clip(pictures + 0.2, 0, 1),
        "darkness": np.clip(pictures - 0.2, 0, 1),
        "contrast": 0.7 * pictures.mean(axis=(1, 2), keepdims=True) + 0.3 * pictures,
    }
    for kind, images in expected.items():
        np.testing.assert_allclose(change(pictures, kind, 2), images, atol=1e-5)
    grey = change(pictures, "grey", 5)
    np.testing.assert_allclose(grey - grey[..., :1], 0.0, atol=1e-6)
    np.testing.assert_allclose(change(pictures, "grey", 2), 0.6 * pictures + 0.4 * grey, atol=1e-5)


def test_noise_and_blur():
    grey = np.full((4, 64, 64, 3), 0.5, "float32")
    assert np.std(change(grey, "noise", 1)) == pytest.approx(0.08, rel=0.02)
    # Nothing flows in from outside.
    np.testing.assert_allclose(change(grey, "blur", 5), grey, atol=1e-5)
    point = np.zeros((1, 64, 64, 3), "float32")
    point[0, 32, 32] = 1.0
    blurred = change(point, "blur", 3)[0, :, :, 0]
    places = np.arange(64) - 32
    assert blurred.sum() == pytest.approx(1.0, abs=1e-4)
    # 0.7 pixels of 32 are 1.4 of 64.
    assert (blurred.sum(axis=0) * places**2).sum() == pytest.approx(1.4**2, rel=0.05)


def test_geometry():
    marked = np.zeros((1, 51, 51, 3), "float32")
    marked[0, 25, 45] = marked[0, 25, 25] = 1.0
    shifted = change(marked, "shift", 4)[0, ..., 0]
    assert shifted[29, 29] > 0.7 and shifted[25, 25] < 0.1
    rotated = change(marked, "rotation", 5)[0, ..., 0]
    row, column = np.unravel_index(np.argmax(rotated * (np.arange(51) > 30)), rotated.shape)
    assert rotated[25, 25] > 0.9
    # 20 pixels from the centre, 30 degrees on.
    assert abs(row - 25) == 10 and column == pytest.approx(25 + 20 * np.cos(np.pi / 6), abs=1)
    zoomed = change(marked, "zoom", 3)[0, ..., 0]
    assert zoomed[25, 25] > 0.9 and zoomed[25, 45] < 0.1 and zoomed[25, 49] > 0.4


def test_jpeg_is_that_of_pillow(pictures):
    found = 255 * change(pictures, "jpeg", 5)
    np.testing.assert_allclose(found, np.round(found), atol=1e-3)
    assert 1.0 < np.abs(found - 255 * pictures).mean() < 40.0


def test_config(check_config):
    attack = Corruption("blur", 2, seed=1)
    check_config(attack)
    assert attack.describe()["kind"] == "blur" and attack.describe()["severity"] == 2
    with pytest.raises(AttributeError, match="Build a new Corruption"):
        attack.severity = 3


def test_bad_arguments(pictures):
    with pytest.raises(ValueError, match="one of .*'brightness'.*Received: kind='fog'"):
        Corruption("fog")
    for severity, message in ((6, "must be from 1 to 5"), (0, "at least 1"), (2.0, "an integer")):
        with pytest.raises(ValueError, match=f"{message}.*Received: severity={severity}"):
            Corruption("blur", severity)
    with pytest.raises(ValueError, match="Divide uint8 pixels by 255"):
        Corruption("blur")((255 * pictures).astype("int32"))
