import keras
import numpy as np

from rocmr_keras.attacks import QueryEncoder
from rocmr_keras.attacks import StringAttack
from rocmr_keras.evaluation.encoding.strings import attack_strings
from rocmr_keras.metrics.relevance import Relevance


class Embeddings:
    """The embeddings of a split and who belongs to whom.

    Args:
        images: Float array `(images, dim)`.
        texts: Float array `(texts, dim)`.
        image_ids: Int array `(images,)`.
        text_ids: Int array `(texts,)`, equal to the id of the images they describe.
    """

    def __init__(self, images, texts, image_ids, text_ids):
        self.images = images
        self.texts = texts
        self.image_ids = np.asarray(image_ids)
        self.text_ids = np.asarray(text_ids)


def encode(model, split, batch_size=64, verbose=1):
    """Encodes all images and captions of a split, clean.

    Args:
        model: A `DualEncoder` with a preprocessor.
        split: A `rocmr_keras.data.Split`.
        batch_size: Int. Defaults to `64`.
        verbose: `1` for a progress bar, `0` for none. Defaults to `1`.

    Returns:
        `Embeddings`.
    """
    parts = {}
    for modality in ("images", "texts"):
        encoder = QueryEncoder(model, modality)
        run = run_queries(encoder, split, modality, batch_size, verbose)
        parts[modality] = run["embeddings"]
    return Embeddings(**parts, image_ids=split.image_ids, text_ids=_text_ids(split))


def encode_attacked(
    model,
    split,
    modality,
    attack,
    gallery,
    objective="contrastive",
    batch_size=64,
    indices=None,
    verbose=1,
    relevance=None,
    keep_inputs=True,
):
    """Attacks the queries of one modality and encodes what was found.

    Args:
        model: A `DualEncoder` with a preprocessor.
        split: A `rocmr_keras.data.Split`.
        modality: `"images"` or `"texts"`, which side of the split is attacked.
        attack: An attack on that modality; of texts also a `StringAttack`. A fresh copy
            is run: the result depends on its seed, not on what it did before.
        gallery: `Embeddings`, the other side of which is what the queries search; or,
            with a `relevance`, a float array `(items, dim)`.
        objective: Name or callable. Defaults to `"contrastive"`.
        batch_size: Int. Defaults to `64`.
        indices: Int array, the queries to attack; all by default.
        verbose: `1` for a progress bar, `0` for none. Defaults to `1`.
        relevance: `Relevance` of all queries of the modality to the items of `gallery`;
            by default items of equal id are right. Defaults to `None`.
        keep_inputs: Bool, whether to return the attacked inputs as well as their
            embeddings; thousands of images take gigabytes. Defaults to `True`.

    Returns:
        Dict of arrays, see `rocmr_keras.attacks.QueryEncoder`, and `stalled_share`,
        the share of gradients that were zero or not finite. An attack on strings finds
        `adversarial_captions`, a list of strings.
    """
    gallery, gallery_ids = _searched(gallery, modality, relevance)
    if modality == "texts" and isinstance(attack, StringAttack):
        if relevance is None:
            relevance = Relevance.from_ids(_text_ids(split), gallery_ids)
        indices = np.arange(len(split.captions)) if indices is None else indices
        captions = [split.captions[index] for index in indices]
        found = attack_strings(
            model, captions, indices, attack, gallery, relevance, objective, batch_size, verbose
        )
        return {**found, "stalled_share": 0.0}
    attack = attack.fresh()
    encoder = QueryEncoder(model, modality, attack, objective, gallery, gallery_ids)
    found = run_queries(
        encoder,
        split,
        modality,
        batch_size,
        verbose,
        indices,
        relevance,
        keep_inputs=keep_inputs,
    )
    return {**found, "stalled_share": attack.stalled_share}


def _searched(gallery, modality, relevance):
    """Returns the embeddings that the queries search and their ids."""
    if relevance is not None:
        # The ids are not looked at: the batch says what is right.
        return gallery, np.zeros(len(gallery), "int32")
    if modality == "texts":
        return gallery.images, gallery.image_ids
    return gallery.texts, gallery.text_ids


def run_queries(
    encoder,
    split,
    modality,
    batch_size,
    verbose,
    indices=None,
    relevance=None,
    begin=None,
    keep_inputs=True,
):
    """Feeds the queries in batches of one size, so that one trace serves them all.

    Args:
        encoder: A `QueryEncoder`.
        split: A `rocmr_keras.data.Split`.
        modality: `"images"` or `"texts"`.
        batch_size: Int, the most queries in a batch.
        verbose: `1` for a progress bar, `0` for none.
        indices: Int array, not empty, the queries; all by default.
        relevance: `Relevance` to the encoder's gallery, or `None` for equal ids.
        begin: Float array `(images, height, width, 3)` where the attack begins, or `None`.
        keep_inputs: Bool, whether to return more than `embeddings`. Defaults to `True`.

    Returns:
        Dict of arrays, see `rocmr_keras.attacks.QueryEncoder`.
    """
    if indices is None:
        indices = np.arange(len(split.images if modality == "images" else split.captions))
    batch_size = min(batch_size, len(indices))
    starts = range(0, len(indices), batch_size)
    bar = keras.utils.Progbar(len(starts), verbose=verbose, unit_name="batch")
    outputs = []
    for start in starts:
        chosen = indices[start : start + batch_size]
        padded = np.resize(chosen, batch_size)
        batch = _batch(encoder.dual_encoder.preprocessor, split, modality, padded)
        if relevance is not None:
            batch.update(relevance.ground_truth(padded))
        if begin is not None:
            batch["start_images"] = begin[padded]
        output = encoder.predict_on_batch(batch)
        if not keep_inputs:
            output = {"embeddings": output["embeddings"]}
        outputs.append({key: value[: len(chosen)] for key, value in output.items()})
        bar.add(1)
    return {key: np.concatenate([part[key] for part in outputs]) for key in outputs[0]}


def _batch(preprocessor, split, modality, indices):
    if modality == "images":
        images = preprocessor.load_images([split.images[index] for index in indices])
        return {"images": images, "image_ids": split.image_ids[indices]}
    tokens = preprocessor.tokenize([split.captions[index] for index in indices])
    return {**tokens, "image_ids": _text_ids(split)[indices]}


def _text_ids(split):
    return np.asarray(split.caption_image_ids)
