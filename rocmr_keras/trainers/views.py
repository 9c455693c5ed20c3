"""The views of a batch: attacked, and encoded."""

from rocmr_keras.attacks import Target
from rocmr_keras.attacks import encode_adversarial_texts
from rocmr_keras.attacks import perturb_images
from rocmr_keras.attacks import perturb_texts
from rocmr_keras.backend import discard_updates
from rocmr_keras.layers import l2_normalize
from rocmr_keras.trainers.objective import positives


def refer(reference, terms, batch):
    """Returns the reference's embeddings of the clean batch, as far as terms need them.

    Args:
        reference: A frozen `DualEncoder`, or `None` where no term needs it.
        terms: A `Terms`.
        batch: Batch dict.

    Returns:
        Dict of float tensors `(batch, dim)`, not normalised.
    """
    found, options = {}, {"training": False, "normalize": False}
    with discard_updates():
        if terms.refers("images"):
            images = reference.encode_images(batch["images"], **options)
            found["reference_images"] = images
        if terms.refers("texts"):
            tokens = batch["token_ids"], batch["padding_mask"]
            found["reference_texts"] = reference.encode_texts(*tokens, **options)
    return found


def perturb(model, attacks, goals, batch, text_first=False):
    """Runs the attacks.

    Args:
        model: A `DualEncoder`.
        attacks: Dict of attacks for `"images"` and `"texts"`, or for one of them.
        goals: Dict of what each of them climbs: an objective, or `None` for the distance
            to the reference.
        batch: Batch dict, with what `refer` gives.
        text_first: Bool, whether images are attacked against the adversarial texts.
            Defaults to `False`.

    Returns:
        The batch dict with the adversarial views, and with the clean embeddings where
        an objective compares with them.
    """
    batch = dict(batch)
    if any(goals[name] is not None for name in attacks):
        with discard_updates():
            clean = model(batch, training=False)
        batch["clean_images"] = clean["image_embeddings"]
        batch["clean_texts"] = clean["text_embeddings"]
    if "texts" in attacks:
        options = _goal(model, "texts", goals, batch, batch.get("clean_images"))
        batch |= perturb_texts(model, attacks["texts"], batch, **options)
    if "images" in attacks:
        texts = batch.get("clean_texts")
        if text_first and "texts" in attacks:
            with discard_updates():
                texts = encode_adversarial_texts(model, batch)
        options = _goal(model, "images", goals, batch, texts)
        found = perturb_images(model, attacks["images"], batch["images"], **options)
        batch["adversarial_images"] = found
    return batch


def _goal(model, modality, goals, batch, gallery):
    """Returns the arguments that tell an attack what to climb."""
    own = positives(batch)
    if goals[modality] is None:
        target = Target(None, own, clean=batch[f"reference_{modality}"])
        return {"target": target, "objective": "embedding_distance", "normalize": False}
    target = Target(
        gallery=gallery,
        positives=own,
        scale=model.scale(),
        clean=batch[f"clean_{modality}"],
        symmetric=True,
    )
    return {"target": target, "objective": goals[modality]}


def encode(model, terms, batch, encodes, training):
    """Encodes the views of a perturbed batch.

    Args:
        model: A `DualEncoder`.
        terms: A `Terms`: where one measures a distance, the embedding before it is
            normalised is kept too.
        batch: Batch dict with adversarial views.
        encodes: Callable from the name of a clean view to whether it is wanted.
        training: Bool.

    Returns:
        Dict of float tensors `(batch, dim)` by view.
    """
    tokens = batch["token_ids"], batch["padding_mask"]
    # Two passes for clean and adversarial, not one of twice the size: faster on
    # CPUs, and their batch statistics stay apart.
    wanted = {}
    if encodes("images"):
        wanted["images"] = model.encode_images, (batch["images"],)
    if encodes("texts"):
        wanted["texts"] = model.encode_texts, tokens
    if "adversarial_images" in batch:
        attacked = batch["adversarial_images"]
        wanted["adversarial_images"] = model.encode_images, (attacked,)
    if "adversarial_token_ids" in batch or "text_perturbation" in batch:
        wanted["adversarial_texts"] = encode_adversarial_texts, (model, batch)
    found = {}
    for view, (function, inputs) in wanted.items():
        if terms.measures(view):
            raw = function(*inputs, training=training, normalize=False)
            found[f"unnormalized_{view}"] = raw
            found[view] = l2_normalize(raw)
        else:
            found[view] = function(*inputs, training=training)
    return found
