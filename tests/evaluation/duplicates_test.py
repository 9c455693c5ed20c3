"""Equal captions under several ids: said in the report, and merged where that is asked for."""

import numpy as np
import pytest

from rocmr_keras.data import Split
from rocmr_keras.evaluation import auto_attack
from rocmr_keras.evaluation import evaluate
from rocmr_keras.reports import format_report

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="module")
def doubled(split):
    """Two of six images are the same red, under ids and captions of their own."""
    pixels = split.images[[0, 1, 2, 3, 0, 4]]
    captions = [*split.captions[:4], f" {split.captions[0].upper()}", split.captions[4]]
    return Split(pixels, range(6), captions, range(6))


def test_duplicates_are_said(doubled, model):
    report = evaluate(model, doubled, batch_size=4, verbose=0)
    found = report["duplicate_captions"]
    assert found == {
        "count": 2,
        "ceiling": {"image_to_text": pytest.approx(4 / 6), "text_to_image": pytest.approx(5 / 6)},
    }
    for direction, most in found["ceiling"].items():
        assert report["clean"][direction]["recall_at_1"] <= most
    told = "2 captions stand under several ids: recall@1 is at most image→text 66.7 %, text→image"
    assert told in format_report(report)


def test_duplicates_are_merged(doubled, model):
    report, ranks = evaluate(
        model, doubled.merge_duplicates(), batch_size=4, verbose=0, return_ranks=True
    )
    assert report["counts"] == {"images": 6, "texts": 6, "merged_captions": 2}
    for direction, ranking in ranks["clean"].items():
        assert (ranking.ranks == 1).all(), direction
        assert report["duplicate_captions"]["ceiling"][direction] == 1.0
    assert "2 captions stand under several ids; they are merged" in format_report(report)


def test_auto_attack_merges_them_too(doubled, model):
    options = {"epsilon": 0.01, "version": "fast", "batch_size": 4, "verbose": 0}
    report = auto_attack(model, doubled.merge_duplicates().take(np.array([0, 1, 4])), **options)
    assert report["counts"]["merged_captions"] == 2
    assert report["clean"]["image_to_text"]["recall_at_1"] == 1.0
    assert report["attacks"]["auto query"]["image_to_text"]["recall_at_1"] == 1.0
    apart = evaluate(model, doubled.take(np.array([0, 1, 4])), batch_size=4, verbose=0)
    assert apart["clean"]["image_to_text"]["recall_at_1"] == pytest.approx(1 / 3)


def test_a_pack_of_merged_duplicates_merges_them(doubled, preprocessor):
    packed = preprocessor.pack(doubled, verbose=0)
    merged = preprocessor.pack(doubled.merge_duplicates(), verbose=0)
    assert merged.merges_duplicates and merged.take([0, 4]).merges_duplicates
    assert not packed.merges_duplicates and not preprocessor.pack(doubled).merges_duplicates
