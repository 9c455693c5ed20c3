from keras import ops

from rocmr_keras.attacks.goal import encoding_options


def encode_adversarial_texts(model, batch, training=False, normalize=True):
    """Encodes what an attack on texts has added to a batch.

    Args:
        model: A `DualEncoder`.
        batch: Batch dict with `token_ids`, `padding_mask`, and `text_perturbation` or
            `adversarial_token_ids`, the latter perhaps with a mask of its own.
        training: Boolean. Defaults to `False`.
        normalize: Boolean, whether the embeddings have length 1. Defaults to `True`.

    Returns:
        Float tensor `(batch, dim)`, L2-normalised where `normalize`.
    """
    padding_mask, options = batch["padding_mask"], encoding_options(normalize, training)
    if "adversarial_token_ids" in batch:
        token_ids = batch["adversarial_token_ids"]
        padding_mask = batch.get("adversarial_padding_mask", padding_mask)
        return model.encode_texts(token_ids, padding_mask, **options)
    embeddings = model.embed_tokens(batch["token_ids"])
    # The attack has computed in float32, the tower may take half precision.
    embeddings = embeddings + ops.cast(batch["text_perturbation"], embeddings.dtype)
    return model.encode_text_embeddings(embeddings, padding_mask, **options)
