import keras
from keras import ops

from rocmr_keras.attacks.attack import Attack
from rocmr_keras.attacks.attack import keep_better
from rocmr_keras.attacks.attack import safe_gradient
from rocmr_keras.attacks.checks import check_count
from rocmr_keras.backend import discard_updates

_NEVER = -1e30


class Vocabulary:
    """The tokens an attack may write, and how they enter the text encoder.

    Args:
        embed: Callable from token ids `(batch, length)` to embeddings
            `(batch, length, dim)`.
        table: Float tensor `(vocabulary_size, dim)`, the embedding of each token.
        allowed: Bool tensor `(vocabulary_size,)`, the tokens that may be written:
            never padding, start, end or other special tokens.
    """

    def __init__(self, embed, table, allowed):
        self.embed = embed
        self.table = table
        self.allowed = allowed


@keras.saving.register_keras_serializable(package="rocmr_keras")
class TokenSubstitution(Attack):
    """Replaces tokens by those that raise the loss most.

    The gradient by the embeddings ranks all swaps of all positions at once to first
    order; the best `num_candidates` are then evaluated exactly, in one batch, and the
    best of these is taken if it really raises the loss. One round for each
    substitution; a position is replaced at most once. A budget of words has no
    fractions: `epsilon_scale` is the share of texts that are attacked, drawn at random.

    Args:
        num_substitutions: Int, the most tokens of a text to replace. Defaults to `1`.
        num_candidates: Int, swaps of each text that are evaluated exactly in each
            round. Defaults to `32`.
        seed: Int or `None`; draws who is attacked where `epsilon_scale` is below 1.
            Defaults to `None`.

    Call arguments:
        inputs: Int tensor `(batch, length)`, token ids.
        loss_fn: Callable from token embeddings `(n * batch, length, dim)`, `n` stacked
            copies of the batch, to losses `(n * batch,)`.
        positions: Bool tensor `(batch, length)`, the positions that may be replaced:
            neither padding nor special tokens.
        vocabulary: A `Vocabulary`.

    Returns:
        Int tensor like `inputs`.

    Raises:
        ValueError: If a count is not positive.

    Reference:
        Ebrahimi et al., "HotFlip", 2018 (arXiv:1712.06751); Zou et al., "Universal and
        Transferable Adversarial Attacks on Aligned Language Models" (GCG), 2023
        (arXiv:2307.15043).
    """

    modality = "tokens"

    def __init__(self, num_substitutions=1, num_candidates=32, seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.num_substitutions = check_count("num_substitutions", num_substitutions)
        self.num_candidates = check_count("num_candidates", num_candidates)
        self._freeze()

    def call(self, inputs, loss_fn, positions, vocabulary):
        token_ids = inputs
        share = keras.random.uniform(ops.shape(inputs)[:1], seed=self.seed_generator)
        attacked = ops.expand_dims(share < self.epsilon_scale, 1)
        positions = ops.logical_and(positions, attacked)
        for _ in range(self.num_substitutions):
            replaced = self._substitute(token_ids, loss_fn, positions, vocabulary)
            positions = ops.logical_and(positions, replaced == token_ids)
            token_ids = replaced
        return token_ids

    def _substitute(self, token_ids, loss_fn, positions, vocabulary):
        losses, gradient, stalled = safe_gradient(loss_fn, vocabulary.embed(token_ids))
        self.count_gradients(
            ops.sum(stalled), ops.cast(ops.shape(token_ids)[0], "float32")
        )
        gains = first_order_gains(gradient, token_ids, positions, vocabulary)
        candidates, valid = self._best_candidates(gains, token_ids)
        copies, length = candidates.shape[0], token_ids.shape[1]
        with discard_updates():
            flat = ops.reshape(candidates, (-1, length))
            candidate_losses = loss_fn(vocabulary.embed(flat))
        candidate_losses = ops.reshape(candidate_losses, (copies, -1))
        valid = ops.logical_and(valid, ops.isfinite(candidate_losses))
        candidate_losses = ops.where(valid, candidate_losses, _NEVER)
        best = ops.argmax(candidate_losses, axis=0)
        best = ops.take_along_axis(candidates, best[None, :, None], axis=0)[0]
        best, _ = keep_better(token_ids, losses, best, ops.max(candidate_losses, axis=0))
        return best

    def _best_candidates(self, gains, token_ids):
        """Returns token ids `(copies, batch, length)` and who is valid `(copies, batch)`."""
        length, size = gains.shape[1:]
        copies = min(self.num_candidates, length * size)
        top, index = ops.top_k(ops.reshape(gains, (-1, length * size)), copies)
        index = ops.cast(ops.transpose(index), token_ids.dtype)
        position, token = index // size, index % size
        here = ops.arange(length, dtype=token_ids.dtype) == position[..., None]
        candidates = ops.where(here, token[..., None], token_ids)
        return candidates, ops.transpose(top) > _NEVER / 2

    def get_config(self):
        return {
            **super().get_config(),
            "num_substitutions": self.num_substitutions,
            "num_candidates": self.num_candidates,
        }


def first_order_gains(gradient, token_ids, positions, vocabulary):
    """Estimates what each single swap adds to the loss.

    Args:
        gradient: Float tensor `(batch, length, dim)`, of the loss by the embeddings.
        token_ids: Int tensor `(batch, length)`.
        positions: Bool tensor `(batch, length)`, the positions that may be replaced.
        vocabulary: A `Vocabulary`.

    Returns:
        Float tensor `(batch, length, vocabulary_size)`: `(e_new - e_old) . gradient`,
        and `-1e30` for a swap that is not allowed or changes nothing.
    """
    table = ops.cast(vocabulary.table, "float32")
    new = ops.matmul(gradient, ops.transpose(table))
    old = ops.take_along_axis(new, token_ids[..., None], axis=-1)
    tokens = ops.arange(table.shape[0], dtype=token_ids.dtype)
    allowed = ops.logical_and(positions[..., None], vocabulary.allowed)
    allowed = ops.logical_and(allowed, tokens != token_ids[..., None])
    return ops.where(allowed, new - old, _NEVER)
