"""Many-to-many ground truth of COCO's test split, read from the package `eccv_caption`."""

import numpy as np


def eccv_caption_ground_truth(image_ids, caption_ids, annotations=None):
    """Reads which captions fit which images of COCO, beyond the five written for each.

    Only the 1,261 images and 1,332 captions that were annotated as queries count; the gallery
    remains the whole split.

    Args:
        image_ids: Integer array `(images,)`, COCO's id of each image of the split, in its order.
        caption_ids: Integer array `(captions,)`, COCO's annotation id of each caption.
        annotations: Dict with `"i2t"`, from image ids to lists of caption ids, and
            `"t2i"`, the reverse: the attribute `eccv_gts`, `cxc_gts` or `coco_gts` of
            `eccv_caption.Metrics()`. Defaults to `None`, the first of these.

    Returns:
        Dict with `image_to_text` and `text_to_image`, lists of integer arrays, for the
        argument `ground_truth` of `evaluate`. What the split does not hold is left out.

    Raises:
        ImportError: If annotations are not given and the package is not installed.
        ValueError: If the ids are not unique, or none of them is annotated.

    Reference:
        - [Chun et al., 2022](https://arxiv.org/abs/2204.03359), ECCV Caption
    """
    if annotations is None:
        annotations = _read_package()
    return {
        "image_to_text": _lists(annotations["i2t"], image_ids, caption_ids, "image_ids"),
        "text_to_image": _lists(annotations["t2i"], caption_ids, image_ids, "caption_ids"),
    }


def _read_package():
    try:
        import eccv_caption
    except ImportError as error:
        raise ImportError(
            "The annotations come with the package eccv_caption, which is not installed. "
            "Run `pip install eccv_caption`, or pass `annotations`."
        ) from error
    return eccv_caption.Metrics().eccv_gts


def _lists(annotated, query_ids, item_ids, name):
    places = {int(item_id): place for place, item_id in enumerate(item_ids)}
    queries = [int(query_id) for query_id in query_ids]
    if len(places) < len(item_ids) or len(set(queries)) < len(queries):
        raise ValueError(
            "Every image and every caption has an id of its own in COCO. Received: an id twice. "
            "Pass annotation ids, not image ids, for the captions."
        )
    if not set(queries) & set(annotated):
        raise ValueError(
            f"`{name}` must be COCO ids of the test split. Received: {queries[:3]}..., none of "
            "which is annotated. Pass the ids of the original files."
        )
    return [
        np.sort([places[item] for item in annotated.get(query, ()) if item in places]).astype(int)
        for query in queries
    ]
