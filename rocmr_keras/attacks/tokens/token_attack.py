from rocmr_keras.attacks.attack import Attack
from rocmr_keras.attacks.tokens.encoder_inputs import changeable
from rocmr_keras.attacks.tokens.encoder_inputs import embedding_losses
from rocmr_keras.attacks.tokens.encoder_inputs import vocabulary_of


class TokenAttack(Attack):
    """Base class of attacks that replace some tokens of a text by others.

    The number of tokens stays the same. Subclasses implement `call(inputs, loss_fn,
    positions, vocabulary)`. `loss_fn` takes token embeddings, not ids, so that a search
    can use its gradient.

    Args:
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        inputs: Integer tensor `(batch, length)`, token ids.
        loss_fn: Callable from token embeddings `(n * batch, length, dim)`, `n` stacked
            copies of the batch, to losses `(n * batch,)`.
        positions: Boolean tensor `(batch, length)`, the positions that may be replaced:
            neither padding nor special tokens.
        vocabulary: A `Vocabulary`.

    Returns:
        Integer tensor like `inputs`.
    """

    side = "texts"
    batch_keys = ("token_ids", "padding_mask")
    writes_text = True

    def perturb(self, model, batch, goal):
        found = self(
            batch["token_ids"],
            loss_fn=embedding_losses(model, batch, goal),
            positions=changeable(model, batch),
            vocabulary=vocabulary_of(model),
        )
        return {"adversarial_token_ids": found}
