"""Random examples for pictures, which `rocmr_keras.reports.pictures` draws."""

import numpy as np

from rocmr_keras.attacks.checks import QUERY_KEYS
from rocmr_keras.attacks.checks import check_attack
from rocmr_keras.evaluation.encoded_split import EncodedSplit
from rocmr_keras.evaluation.encoding.embeddings import encode
from rocmr_keras.evaluation.encoding.queries import encode_attacked
from rocmr_keras.metrics.ranks import query_ranks


def retrieval_rows(model, split, count=8, seed=0, verbose=0):
    """Draws queries of both modalities, each of another image, and looks up their first ten.

    Args:
        model: A `DualEncoder` with a preprocessor.
        split: A `rocmr_keras.data.Split`.
        count: Integer, rows in all: the first half text queries, the rest image queries; as many
            as there are images, if these are fewer. Defaults to `8`.
        seed: Integer. The queries are a random draw, not a choice of nice ones.
            Defaults to `0`.
        verbose: `1` for progress bars. Defaults to `0`.

    Returns:
        Rows for `rocmr_keras.reports.pictures.retrieval_sheet`.
    """
    embeddings = encode(model, split, verbose=verbose)
    rng = np.random.default_rng(seed)
    # Images of one id count as one.
    _, places = np.unique(split.image_ids, return_index=True)
    drawn = rng.permutation(places)[:count]
    half = (len(drawn) + 1) // 2
    texts = [_caption_of(split, place, rng) for place in drawn[:half]]
    images = drawn[half:]
    return [
        *(_row(model, split, embeddings, "texts", index) for index in texts),
        *(_row(model, split, embeddings, "images", index) for index in images),
    ]


def _caption_of(split, place, rng):
    """Draws the place of a caption of the image at a place."""
    return rng.choice(np.flatnonzero(split.caption_image_ids == split.image_ids[place]))


def _row(model, split, embeddings, modality, index):
    queries, *_ = queries_and_gallery(embeddings, modality)
    return {
        "query": show_item(model, split, modality, index),
        **first_results(model, split, embeddings, modality, index, queries[index], count=10),
    }


def queries_and_gallery(embeddings, modality):
    """Returns queries of a modality and their ids, the gallery and its ids."""
    images = embeddings.images, embeddings.image_ids
    texts = embeddings.texts, embeddings.text_ids
    return (*images, *texts) if modality == "images" else (*texts, *images)


def first_results(model, split, embeddings, modality, index, query, count=5):
    """Looks up what a query finds, as `rocmr_keras.reports.pictures.retrieval_sheet` draws it.

    Args:
        model: A `DualEncoder` with a preprocessor.
        split: A `rocmr_keras.data.Split`.
        embeddings: The clean embeddings of the split.
        modality: `"images"` or `"texts"`, that of the query.
        index: Integer, which query of the split it is.
        query: Float array `(dim,)`, its embedding, clean or attacked.
        count: Integer, how many. Defaults to `5`.

    Returns:
        Dict with `results`, `scores`, `correct` and `rank`.
    """
    _, query_ids, gallery, gallery_ids = queries_and_gallery(embeddings, modality)
    found = "texts" if modality == "images" else "images"
    scores = gallery @ query
    # Stable: of equal scores the first item is shown, on every machine.
    top = np.argsort(-scores, kind="stable")[:count]
    return {
        "results": [show_item(model, split, found, item) for item in top],
        "scores": [float(scores[item]) for item in top],
        "correct": [bool(gallery_ids[item] == query_ids[index]) for item in top],
        "rank": _rank(query, gallery, query_ids[index], gallery_ids),
    }


def adversarial_pairs(model, split, image_attack, text_attack, count=5, seed=0):
    """Draws pairs that retrieve each other when clean, and attacks both sides.

    Each side is attacked alone, as a query against the whole clean gallery.

    Args:
        model: A `DualEncoder` with a preprocessor.
        split: A `rocmr_keras.data.Split`.
        image_attack: An `ImageAttack`.
        text_attack: A `TokenAttack` or a `StringAttack`.
        count: Integer, pairs, fewer if there are not as many. Defaults to `5`.
        seed: Integer, of the draw among the pairs whose caption ranks an image of its
            own first; all pairs where there is none. Defaults to `0`.

    Returns:
        Examples for `rocmr_keras.reports.pictures.adversarial_examples`.

    Raises:
        ValueError: If an attack does not fit its side, or that of texts writes none.
    """
    check_attack("image_attack", image_attack, "images", batch_keys=QUERY_KEYS)
    check_writes_text(text_attack)
    encoded = EncodedSplit(model, split, verbose=0)
    clean = encoded.clean
    ranks = query_ranks(clean.texts, clean.images, clean.text_ids, clean.image_ids)
    # An attack on a pair that is not found anyway would show nothing.
    eligible = np.flatnonzero(ranks == 1) if (ranks == 1).any() else np.arange(len(ranks))
    rng = np.random.default_rng(seed)
    texts = rng.permutation(eligible)[:count]
    images = [np.flatnonzero(clean.image_ids == clean.text_ids[index])[0] for index in texts]
    images = np.asarray(images)
    attacked_images = encode_attacked(encoded, "images", image_attack, queries=images)
    attacked_texts = encode_attacked(encoded, "texts", text_attack, queries=texts)
    captions = attacked_captions(model, split, texts, attacked_texts)
    attacked = zip(attacked_images["embeddings"], attacked_texts["embeddings"])
    return [
        {
            **_example(model, split, clean, pair, moved),
            "adversarial_image": attacked_images["adversarial_images"][place],
            "caption": captions[place][0],
            "adversarial_caption": captions[place][1],
        }
        for place, (pair, moved) in enumerate(zip(zip(images, texts), attacked))
    ]


def attacked_captions(model, split, indices, found):
    """Returns captions before and after an attack, to be compared word by word.

    If the attack replaced tokens, both are decoded from tokens, so that lower case and other
    work of the tokenizer does not count as a change. An attack on strings starts from the
    caption as it was written.

    Args:
        model: A `DualEncoder` with a preprocessor.
        split: A `rocmr_keras.data.Split`.
        indices: Integer array, the captions.
        found: Dict, as `encode_attacked` returns it for them.

    Returns:
        List of pairs of strings, before and after.
    """
    captions = [split.captions[index] for index in indices]
    if "adversarial_captions" in found:
        return list(zip(captions, found["adversarial_captions"]))
    preprocessor = model.preprocessor
    before = preprocessor.detokenize(preprocessor.tokenize(captions)["token_ids"])
    return list(zip(before, preprocessor.detokenize(found["adversarial_token_ids"])))


def check_writes_text(attack):
    """Raises a `ValueError` if what an attack does to a text cannot be read."""
    check_attack("text_attack", attack, "texts", batch_keys=QUERY_KEYS, writes_text=True)


def _example(model, split, clean, pair, moved):
    image, text = pair
    moved_image, moved_text = moved
    nearest_text = int(np.argmax(clean.texts @ moved_image))
    nearest_image = int(np.argmax(clean.images @ moved_text))
    return {
        "image": show_item(model, split, "images", image),
        "image_rank": (
            _rank(clean.images[image], clean.texts, clean.image_ids[image], clean.text_ids),
            _rank(moved_image, clean.texts, clean.image_ids[image], clean.text_ids),
        ),
        "text_rank": (
            _rank(clean.texts[text], clean.images, clean.text_ids[text], clean.image_ids),
            _rank(moved_text, clean.images, clean.text_ids[text], clean.image_ids),
        ),
        "retrieved_caption": split.captions[nearest_text],
        "retrieved_image": show_item(model, split, "images", nearest_image),
    }


def _rank(query, gallery, query_id, gallery_ids):
    return int(query_ranks(query[None], gallery, np.array([query_id]), gallery_ids)[0])


def show_item(model, split, modality, index):
    """Returns a caption as it is, or an image as the model sees it."""
    if modality == "texts":
        return split.captions[index]
    return model.preprocessor.load_images([split.images[index]])[0]
