"""The views of a batch: attacked, and encoded."""

from rocmr_keras.attacks import Goal
from rocmr_keras.attacks import Target
from rocmr_keras.attacks import encode_adversarial_texts
from rocmr_keras.backend import discard_updates
from rocmr_keras.backend import gather
from rocmr_keras.backend import in_chunks
from rocmr_keras.layers import l2_normalize
from rocmr_keras.trainers.chunks import attack_chunks
from rocmr_keras.trainers.chunks import encode_chunks
from rocmr_keras.trainers.chunks import float_pixels
from rocmr_keras.trainers.chunks import rivals
from rocmr_keras.trainers.gathering import identities
from rocmr_keras.trainers.objective import positives


def refer(reference, terms, batch, chunk_size=None):
    """Returns the reference's embeddings of the clean batch, as far as terms need them.

    Args:
        reference: A frozen `DualEncoder`, or `None` where no term needs it.
        terms: A `Terms`.
        batch: Batch dict.
        chunk_size: Integer, rows that are encoded at a time. Defaults to `None`, all.

    Returns:
        Dict of float tensors `(batch, dim)`, not normalised.
    """
    options = {"training": False, "normalize": False}
    if reference is None:
        return {}

    def encode(rows):
        found = {}
        if terms.refers("images"):
            images = reference.encode_images(rows["images"], **options)
            found["reference_image_embeddings"] = images
        if terms.refers("texts"):
            tokens = rows["token_ids"], rows["padding_mask"]
            texts = reference.encode_texts(*tokens, **options)
            found["reference_text_embeddings"] = texts
        return found

    return _constants(encode, batch, chunk_size)


def _constants(encode, batch, chunk_size):
    def discarding(rows):
        with discard_updates():
            return encode(float_pixels(rows))

    return in_chunks(discarding, batch, chunk_size)


def perturb(model, attacks, objectives, batch, text_first=False, chunk_size=None):
    """Runs the attacks.

    Args:
        model: A `DualEncoder`.
        attacks: Dict of attacks for `"images"` and `"texts"`, or for one of them.
        objectives: Dict of what each of them climbs: an objective, or `None` for the
            distance to the reference.
        batch: Batch dict, with what `refer` gives.
        text_first: Boolean, whether images are attacked against the adversarial texts.
            Defaults to `False`.
        chunk_size: Integer, rows that are encoded and attacked at a time. Defaults to
            `None`, all.

    Returns:
        The batch dict with the adversarial views, and with the clean embeddings where
        an objective compares with them.
    """
    batch, recorded = dict(batch), {}
    if any(objectives[side] is not None for side in attacks):
        # A recording would keep what all chunks compute.
        recorded = _record(model, attacks, objectives, batch) if chunk_size is None else {}
        batch |= _constants(lambda rows: _encode_clean(model, rows, recorded), batch, chunk_size)
    if "texts" in attacks:
        images = batch.get("clean_image_embeddings")
        goal = _goal(model, "texts", objectives["texts"], batch, images, recorded, chunk_size)
        batch |= attack_chunks(attacks["texts"], model, batch, goal, chunk_size)
    if "images" in attacks:
        texts = batch.get("clean_text_embeddings")
        if text_first and "texts" in attacks:
            texts = _constants(
                lambda rows: {"texts": encode_adversarial_texts(model, rows)}, batch, chunk_size
            )["texts"]
        goal = _goal(model, "images", objectives["images"], batch, texts, recorded, chunk_size)
        batch |= attack_chunks(attacks["images"], model, batch, goal, chunk_size)
    return batch


def _record(model, attacks, objectives, batch):
    """Returns by side a `RecordedEncoding` where the first step of an attack can use it."""
    found = {}
    for side, attack in attacks.items():
        # What starts at random never looks at the clean inputs.
        if objectives[side] is not None and not getattr(attack, "random_start", True):
            recorded = attack.record(model, batch)
            found |= {} if recorded is None else {side: recorded}
    return found


def _encode_clean(model, batch, recorded):
    if not recorded:
        clean = model(batch, training=False)
    else:
        clean = {
            name: function(*inputs, training=False)
            for name, (function, inputs) in _clean_encoders(model, batch).items()
            if f"{name.partition('_')[0]}s" not in recorded
        }
    for side, encoding in recorded.items():
        clean[f"{side[:-1]}_embeddings"] = encoding.embeddings
    return {f"clean_{name}": clean[name] for name in ("image_embeddings", "text_embeddings")}


def _clean_encoders(model, batch):
    """Returns the function of a model, and its inputs, that give the embeddings of each side."""
    images = model.encode_images, (batch["images"],) if "images" in batch else ()
    texts = model.encode_texts, (batch["token_ids"], batch["padding_mask"])
    if "image_features" in batch:
        images = model.encode_features, (batch["image_features"], "images")
    if "text_features" in batch:
        texts = model.encode_features, (batch["text_features"], "texts")
    return {"image_embeddings": images, "text_embeddings": texts}


def _goal(model, side, objective, batch, gallery, recorded, chunk_size):
    ids, name = identities(batch), f"{side[:-1]}_embeddings"
    everyone = gather(ids)
    own = positives(ids, everyone)
    if objective is None:
        target = Target(None, own, clean=batch[f"reference_{name}"])
        return Goal(target, "embedding_distance", normalize=False)
    gallery, clean = gather(gallery), batch[f"clean_{name}"]
    target = Target(
        gallery=gallery,
        positives=own,
        scale=model.scale(),
        clean=clean,
        symmetric=True,
        rivals=rivals(gather(clean), gallery, everyone, model.scale(), chunk_size),
    )
    return Goal(target, objective, recorded=recorded.get(side))


def encode_views(model, terms, batch, encodes, training, chunk_size=None):
    """Encodes the views of a perturbed batch.

    Args:
        model: A `DualEncoder`.
        terms: A `Terms`: where one measures a distance, the embedding before it is
            normalised is kept too.
        batch: Batch dict with adversarial views, or `image_features` or `text_features` of
            a side whose tower is frozen.
        encodes: Callable from the name of clean embeddings to whether it is wanted.
        training: Boolean.
        chunk_size: Integer, rows that are encoded at a time. Defaults to `None`, all.

    Returns:
        Dict of float tensors `(batch, dim)` by view.
    """

    def encode(rows):
        return _encode_views(model, terms, rows, encodes, training)

    return encode_chunks(encode, model, batch, chunk_size)


def _encode_views(model, terms, batch, encodes, training):
    # Two passes for clean and adversarial, not one of twice the size: faster on
    # CPUs, and their batch statistics stay apart.
    clean = _clean_encoders(model, batch)
    wanted = {view: encoder for view, encoder in clean.items() if encodes(view)}
    if "adversarial_images" in batch:
        attacked = batch["adversarial_images"]
        wanted["adversarial_image_embeddings"] = model.encode_images, (attacked,)
    if "adversarial_token_ids" in batch or "text_perturbation" in batch:
        wanted["adversarial_text_embeddings"] = encode_adversarial_texts, (model, batch)
    found = {}
    for view, (function, inputs) in wanted.items():
        if terms.measures(view):
            raw = function(*inputs, training=training, normalize=False)
            found[f"unnormalized_{view}"] = raw
            found[view] = l2_normalize(raw)
        else:
            found[view] = function(*inputs, training=training)
    return found
