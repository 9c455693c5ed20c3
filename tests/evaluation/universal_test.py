import numpy as np
import pytest

from rocmr_keras.data import Split
from rocmr_keras.evaluation import format_report
from rocmr_keras.evaluation import universal_perturbation


@pytest.fixture(scope="module")
def reds():
    """Ten pale reds that differ in texture, a cyan and a blue, with a caption each colour."""
    texture = np.random.RandomState(0).uniform(-0.02, 0.02, size=(12, 4, 4, 3))
    colours = [(0.6, 0.4, 0.4)] * 10 + [(0.4, 0.6, 0.6), (0.4, 0.4, 0.6)]
    pixels = np.array(colours)[:, None, None] + texture
    captions = ["a red square", "a cyan square", "a blue square"]
    return Split(np.round(255 * pixels).astype("uint8"), [0] * 10 + [1, 2], captions, [0, 1, 2])


def test_learnt_on_one_half_it_takes_the_other(colour_model, reds):
    options = {"num_passes": 5, "batch_size": 4, "verbose": 0}
    found, report = universal_perturbation(colour_model, reds, 0.2, **options)
    assert found.shape == (4, 4, 3) and np.abs(found).max() == pytest.approx(0.2)
    assert found[..., 0].mean() < 0.0
    run = report["attacks"]["universal"]
    assert run["budget"]["seen"] == 6 and run["image_to_text"]["count"] == 6
    assert run["clean"]["image_to_text"]["recall_at_1"] == 1.0
    # It is made of reds, and may leave the two others.
    assert run["image_to_text"]["recall_at_1"] <= 2 / 6
    assert run["budget"]["image_attack"]["epsilon"] == 0.2
    assert "universal, before" in format_report(report)
    again, _ = universal_perturbation(colour_model, reds, 0.2, **options)
    np.testing.assert_array_equal(again, found)
    small, report = universal_perturbation(colour_model, reds, 0.01, **options)
    assert np.abs(small).max() <= 0.01 + 1e-7
    assert report["attacks"]["universal"]["image_to_text"]["recall_at_1"] == 1.0


def test_one_query_is_too_few(colour_model, reds):
    with pytest.raises(ValueError, match="needs two image queries.*Received: 1"):
        universal_perturbation(colour_model, reds.subset(1), 0.1, verbose=0)
