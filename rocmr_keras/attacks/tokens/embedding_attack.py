from rocmr_keras.attacks.attack import Attack
from rocmr_keras.attacks.tokens.encoder_inputs import changeable
from rocmr_keras.attacks.tokens.encoder_inputs import embedding_losses
from rocmr_keras.attacks.tokens.encoder_inputs import float_embeddings
from rocmr_keras.attacks.tokens.encoder_inputs import record_texts


class EmbeddingAttack(Attack):
    """Base class of attacks that perturb token embeddings, which then belong to no text.

    Subclasses implement `call(inputs, loss_fn, positions)`.

    Args:
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        inputs: Float tensor `(batch, length, dim)`, token embeddings.
        loss_fn: Callable from such a tensor to losses `(batch,)`.
        positions: Boolean tensor `(batch, length)`, the tokens that may move: neither
            padding nor special tokens.

    Returns:
        Float tensor like `inputs`.
    """

    side = "texts"
    batch_keys = ("token_ids", "padding_mask")

    def perturb(self, model, batch, goal):
        positions = changeable(model, batch)
        if goal.recorded is None:
            embeddings = float_embeddings(model, batch)
        else:
            embeddings = goal.recorded.inputs
        found = self(embeddings, loss_fn=embedding_losses(model, batch, goal), positions=positions)
        return {"text_perturbation": found - embeddings}

    def record(self, model, batch):
        return record_texts(model, batch)
