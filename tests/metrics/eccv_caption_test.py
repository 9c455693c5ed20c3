import numpy as np
import pytest

from rocmr_keras.metrics import eccv_caption_ground_truth

# Image 30 was not annotated as a query; caption 900 is not in the split.
ANNOTATIONS = {
    "i2t": {10: [500, 502, 900], 20: [502]},
    "t2i": {500: [10, 30], 900: [10]},
}


def test_positions_in_the_order_of_the_split():
    found = eccv_caption_ground_truth([30, 20, 10], [502, 501, 500], ANNOTATIONS)
    assert [items.tolist() for items in found["image_to_text"]] == [[], [0], [0, 2]]
    assert [items.tolist() for items in found["text_to_image"]] == [[], [], [0, 2]]


def test_ids_of_something_else():
    with pytest.raises(ValueError, match="`image_ids` must be COCO ids .*Received: .1, 2"):
        eccv_caption_ground_truth([1, 2], [500, 502], ANNOTATIONS)
    with pytest.raises(ValueError, match="an id of its own in COCO. Received: an id twice"):
        eccv_caption_ground_truth([10, 20], [10, 10, 20], ANNOTATIONS)


@pytest.mark.filterwarnings("ignore:failed to import `ujson`")
def test_the_package_itself():
    metrics = pytest.importorskip("eccv_caption").Metrics()
    image_ids, caption_ids = list(metrics.coco_gts["i2t"]), list(metrics.coco_gts["t2i"])
    found = eccv_caption_ground_truth(image_ids, caption_ids)
    counts = {name: np.array([len(items) for items in lists]) for name, lists in found.items()}
    assert len(counts["image_to_text"]) == 5000
    # The sums of the table in the package's README, but for two captions out of 22,550 that
    # are not among COCO's 25,000.
    assert (counts["image_to_text"] > 0).sum() == 1261
    assert (counts["text_to_image"] > 0).sum() == 1332
    assert counts["image_to_text"].sum() == 22548
    assert counts["text_to_image"].sum() == 11279
