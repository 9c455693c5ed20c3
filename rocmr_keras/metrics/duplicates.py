"""Captions that stand under several ids: what they cost, and a ground truth that merges them."""

import collections

import numpy as np

from rocmr_keras.metrics.relevance import Relevance


def number_texts(captions):
    """Numbers captions, equal ones alike: stripped, and without regard to capitals.

    Args:
        captions: List of strings.

    Returns:
        Integer array `(captions,)`.
    """
    numbers = {}
    keys = [caption.strip().casefold() for caption in captions]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def merged_relevance(captions, caption_image_ids, image_ids):
    """Makes a ground truth in which equal captions are right for each other's images.

    Nothing else is merged: what else is said of one of the images is not right for the others.

    Args:
        captions: List of strings.
        caption_image_ids: Integer array `(captions,)`.
        image_ids: Integer array `(images,)`.

    Returns:
        Dict of `image_to_text` and `text_to_image`, each a `Relevance`.
    """
    images, ids = collections.defaultdict(list), collections.defaultdict(dict)
    for place, image_id in enumerate(np.asarray(image_ids).tolist()):
        images[image_id].append(place)
    texts = number_texts(captions).tolist()
    for text, image_id in zip(texts, np.asarray(caption_image_ids).tolist(), strict=True):
        ids[text][image_id] = None
    right = {text: [i for each in known for i in images[each]] for text, known in ids.items()}
    relevance = Relevance.from_lists([right[text] for text in texts], len(image_ids))
    return {"image_to_text": relevance.transpose(), "text_to_image": relevance}


def duplicate_captions(captions, caption_image_ids, relevance):
    """Counts the captions that stand under several ids, and what they keep from being found.

    To a model that does not tell capitals equal captions are one query: it finds the right image
    of only some of them. To an image they are several equal answers, of which the wrong ones
    count as found first: where all of its captions also stand under another id, it is lost.

    Args:
        captions: List of strings.
        caption_image_ids: Integer array `(captions,)`.
        relevance: Dict from `"image_to_text"` and `"text_to_image"`, or one of them, to the
            `Relevance` that is counted by.

    Returns:
        Dict of `count`, an integer, and `ceiling`, a dict from each direction to the highest
        recall@1 that such a model can have, a fraction.
    """
    texts, ids = number_texts(captions), np.unique(caption_image_ids, return_inverse=True)[1]
    those, _, _ = _unique_pairs(texts, ids)
    several = np.bincount(those, minlength=1) > 1
    ceilings = {"image_to_text": _of_images, "text_to_image": _of_texts}
    return {
        "count": int(several[texts].sum()),
        "ceiling": {name: ceilings[name](texts, known) for name, known in relevance.items()},
    }


def _of_images(texts, relevance):
    """The share of the images with a caption whose every copy is right."""
    queries, items = relevance.take(np.arange(len(relevance)))
    queries, those, found = _unique_pairs(queries, texts[items])
    alone = queries[found == np.bincount(texts)[those]]
    return len(np.unique(alone)) / len(relevance.counted)


def _of_texts(texts, relevance):
    """The share of the captions that are right if all copies find the best image for them."""
    queries, items = relevance.take(np.arange(len(relevance)))
    those, _, found = _unique_pairs(texts[queries], items)
    best = np.zeros(texts.max() + 1, dtype=np.int64)
    np.maximum.at(best, those, found)
    return int(best.sum()) / len(relevance.counted)


def _unique_pairs(first, second):
    """Returns both numbers of each different pair, and how often it stands there."""
    # As one number each: rows take ten times as long to sort.
    width = int(second.max(initial=0)) + 1
    pairs, found = np.unique(first * width + second, return_counts=True)
    return *np.divmod(pairs, width), found
