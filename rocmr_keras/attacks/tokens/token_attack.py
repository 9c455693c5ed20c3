from rocmr_keras.attacks.attack import Attack
from rocmr_keras.attacks.tokens.encoder_inputs import changeable
from rocmr_keras.attacks.tokens.encoder_inputs import embedding_losses
from rocmr_keras.attacks.tokens.encoder_inputs import vocabulary_of


class TokenAttack(Attack):
    """Base class of attacks that write other tokens in place of some of a text.

    The number of tokens stays. Subclasses implement `call(inputs, loss_fn, positions,
    vocabulary)`. Losses are those of embeddings, so that a search may follow a gradient.

    Args:
        seed: Int or `None`. Defaults to `None`.

    Call arguments:
        inputs: Int tensor `(batch, length)`, token ids.
        loss_fn: Callable from token embeddings `(n * batch, length, dim)`, `n` stacked
            copies of the batch, to losses `(n * batch,)`.
        positions: Bool tensor `(batch, length)`, the positions that may be replaced:
            neither padding nor special tokens.
        vocabulary: A `Vocabulary`.

    Returns:
        Int tensor like `inputs`.
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
