"""What attacks of other authors see of a model, and how their finds are counted."""

import importlib.util
import pathlib

import keras
import numpy as np
import pytest

from rocmr_keras.evaluation import EncodedSplit

if keras.config.backend() != "torch":
    pytest.skip("foreign attacks know PyTorch only", allow_module_level=True)

PATH = pathlib.Path(__file__).parents[1] / "recipes" / "foreign_classifier.py"
QUERIES = np.arange(7)


@pytest.fixture(scope="module")
def recipe():
    spec = importlib.util.spec_from_file_location("foreign_classifier", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def encoded(colour_model, colour_split):
    return EncodedSplit(colour_model, colour_split, verbose=0)


def test_the_class_is_lost_with_the_rank(recipe, encoded):
    """Also of changed images, in another order, as attacks pass them on."""
    order = [3, 1, 6]
    counts = []
    for k in (1, 2, 4):
        classifier = recipe.CaptionClassifier(encoded.model, encoded, k)
        images, labels = classifier.look_at(QUERIES)
        for seen in (images, 0.97 * images):
            embeddings = encoded.model.encode_images(seen.permute(0, 2, 3, 1)).numpy()
            is_right = encoded.rank("image_to_text", queries=embeddings).ranks[order] <= k
            found = classifier(seen[order]).argmax(1) == labels[order]
            np.testing.assert_array_equal(found.numpy(), is_right)
        counts.append(int(is_right.sum()))
    # The failed red.
    assert counts[0] < counts[-1] == 3


def test_finds_are_put_back_into_the_budget(recipe, encoded):
    classifier = recipe.CaptionClassifier(encoded.model, encoded, 1)
    found = recipe.attack(classifier, lambda images, _: images + 9.0, QUERIES[2:5], 0.1, 2)
    np.testing.assert_array_equal(found[[0, 1, 5, 6]], encoded.clean.images[[0, 1, 5, 6]])
    images, _ = classifier.look_at(QUERIES[2:5])
    brighter = (images + 0.1).clamp(0.0, 1.0).permute(0, 2, 3, 1)
    wanted = encoded.model.encode_images(brighter).numpy()
    np.testing.assert_allclose(found[2:5], wanted, atol=1e-6)


def test_counts(recipe):
    foreign, own = np.array([1, 1, 0, 0, 0], bool), np.array([1, 0, 1, 0, 0], bool)
    counts = recipe.count_broken(foreign, own)
    share = pytest.approx(1 / 3)
    error = pytest.approx((2 / 27) ** 0.5)
    names = ("both", "own_alone", "foreign_alone", "left_by_own", "share", "standard_error")
    assert [counts[name] for name in names] == [1, 1, 1, 3, share, error]
    assert counts["at_most"] is None
    # 0.95 = 1 - 0.05: of one query that holds, nearly all could fall.
    assert recipe.count_broken(own[3:4], own[3:4])["at_most"] == pytest.approx(0.95)


def test_what_is_missing_is_said(recipe, encoded, tmp_path):
    assert "--auto_attack" in recipe.lacking(["fra31"], None)
    assert "git clone" in recipe.lacking(["fra31"], str(tmp_path))
    with pytest.raises(ValueError, match="Received: k=10, 10 captions"):
        recipe.CaptionClassifier(encoded.model, encoded, 10)
