"""Joins an attack, a dual encoder and a target: from clean inputs to adversarial views.

The attacks know no model and the objectives no attack; only these two functions see
both. Training and evaluation call the same ones.
"""

import numpy as np
from keras import ops

from rocmr_keras.attacks import objectives
from rocmr_keras.attacks.tokens.vocabulary import Vocabulary


def perturb_images(
    model, attack, images, target, objective="contrastive", start=None, normalize=True
):
    """Attacks images against fixed text embeddings.

    Args:
        model: A `DualEncoder`, or anything with its `encode_images`.
        attack: An attack of modality `"images"`.
        images: Float tensor `(batch, height, width, channels)` in [0, 1].
        target: A `rocmr_keras.attacks.Target` over text embeddings.
        objective: Name or callable, see `rocmr_keras.attacks.objectives.get`.
            Defaults to `"contrastive"`.
        start: Float tensor like `images` where the attack begins, if it takes a
            `start`. Defaults to `None`.
        normalize: Bool, whether the objective sees embeddings of length 1; else as the
            tower gives them, for distances to such embeddings. Defaults to `True`.

    Returns:
        Float tensor like `images`.
    """
    objective = objectives.get(objective)

    options = _encoding(normalize)

    def loss_fn(attacked):
        return objective(model.encode_images(attacked, **options), target)

    if start is None:
        return attack(images, loss_fn=loss_fn)
    return attack(images, loss_fn=loss_fn, start=start)


def perturb_texts(model, attack, batch, target, objective="contrastive", normalize=True):
    """Attacks texts against fixed image embeddings.

    Args:
        model: A `DualEncoder`, or anything with its `embed_tokens`,
            `encode_text_embeddings`, `special_token_ids` and `text_encoder.embedding_table`.
        attack: An attack of modality `"embeddings"`, `"tokens"` or `"candidates"`.
        batch: Dict with `token_ids`, int `(batch, length)`, and `padding_mask`, bool
            `(batch, length)`; for the last modality also what
            `rocmr_keras.data.batches(edits=...)` adds.
        target: A `rocmr_keras.attacks.Target` over image embeddings.
        objective: Name or callable, see `rocmr_keras.attacks.objectives.get`.
            Defaults to `"contrastive"`.
        normalize: As in `perturb_images`. Defaults to `True`.

    Returns:
        Dict with `text_perturbation`, float `(batch, length, dim)`, to be added to the
        token embeddings, or `adversarial_token_ids`, int `(batch, length)`, and
        perhaps `adversarial_padding_mask`.

    Raises:
        ValueError: If the batch lacks what the attack chooses from.
    """
    objective = objectives.get(objective)
    if attack.modality == "candidates":
        return _choose_texts(model, attack, batch, target, objective, normalize)
    token_ids, padding_mask = batch["token_ids"], batch["padding_mask"]
    options = _encoding(normalize)

    def loss_fn(embeddings):
        copies = ops.shape(embeddings)[0] // ops.shape(token_ids)[0]
        attended = ops.tile(padding_mask, (copies, 1))
        encoded = model.encode_text_embeddings(embeddings, attended, **options)
        return objective(encoded, target)

    special = _special_tokens(model)
    ordinary = ops.logical_not(ops.take(special, token_ids))
    positions = ops.logical_and(padding_mask, ordinary)
    if attack.modality == "tokens":
        vocabulary = Vocabulary(
            model.embed_tokens,
            model.text_encoder.embedding_table,
            ops.logical_not(special),
            _whole_words(model),
        )
        found = attack(token_ids, loss_fn=loss_fn, positions=positions, vocabulary=vocabulary)
        return {"adversarial_token_ids": found}
    embeddings = ops.cast(model.embed_tokens(token_ids), "float32")
    found = attack(embeddings, loss_fn=loss_fn, positions=positions)
    return {"text_perturbation": found - embeddings}


def _choose_texts(model, attack, batch, target, objective, normalize):
    names = ("token_ids", "padding_mask")
    if any(f"candidate_{name}" not in batch for name in names):
        raise ValueError(
            f"{type(attack).__name__} chooses among `candidate_token_ids`. Received: a batch of "
            f"{sorted(batch)}. Make batches with rocmr_keras.data.batches(edits=...)."
        )
    options = _encoding(normalize)

    def loss_fn(texts):
        encoded = model.encode_texts(texts["token_ids"], texts["padding_mask"], **options)
        return objective(encoded, target)

    candidates = {name: batch[f"candidate_{name}"] for name in names}
    found = attack({name: batch[name] for name in names}, loss_fn=loss_fn, candidates=candidates)
    return {f"adversarial_{name}": value for name, value in found.items()}


def _special_tokens(model):
    """Returns a bool tensor `(vocabulary_size,)`, true at padding, start, end, ..."""
    ids = np.arange(model.text_encoder.embedding_table.shape[0])
    return ops.convert_to_tensor(np.isin(ids, model.special_token_ids))


def _whole_words(model):
    """Returns a bool array `(vocabulary_size,)`, or `None` for a model without strings."""
    known = getattr(getattr(model, "preprocessor", None), "whole_word_mask", None)
    if known is None:
        return None
    # A table may have more rows than the preprocessor has pieces.
    mask = np.zeros(model.text_encoder.embedding_table.shape[0], "bool")
    mask[: len(known)] = known
    return mask


def encode_adversarial_texts(model, batch, training=False, normalize=True):
    """Encodes what `perturb_texts` found.

    Args:
        model: A `DualEncoder`.
        batch: Batch dict with `token_ids`, `padding_mask`, and `text_perturbation` or
            `adversarial_token_ids`, the latter perhaps with a mask of its own.
        training: Bool. Defaults to `False`.
        normalize: As in `perturb_images`. Defaults to `True`.

    Returns:
        Float tensor `(batch, dim)`, L2-normalised where `normalize`.
    """
    padding_mask, options = batch["padding_mask"], _encoding(normalize, training)
    if "adversarial_token_ids" in batch:
        token_ids = batch["adversarial_token_ids"]
        padding_mask = batch.get("adversarial_padding_mask", padding_mask)
        return model.encode_texts(token_ids, padding_mask, **options)
    embeddings = model.embed_tokens(batch["token_ids"])
    embeddings = embeddings + ops.cast(batch["text_perturbation"], embeddings.dtype)
    return model.encode_text_embeddings(embeddings, padding_mask, **options)


def _encoding(normalize, training=False):
    """Asks for `normalize` only where it matters: a user's own model may not know it."""
    return {"training": training} if normalize else {"training": training, "normalize": False}
