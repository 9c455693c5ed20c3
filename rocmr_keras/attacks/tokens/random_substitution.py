import keras
from keras import ops

from rocmr_keras.attacks.checks import check_count
from rocmr_keras.attacks.tokens.token_attack import TokenAttack
from rocmr_keras.backend import draw_rows


@keras.saving.register_keras_serializable(package="rocmr_keras")
class RandomSubstitution(TokenAttack):
    """Replaces random tokens by random tokens: the control of `TokenSubstitution`.

    Args:
        num_substitutions: Integer, the tokens of a text to replace, fewer where it has
            fewer. Defaults to `1`.
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        inputs: Integer tensor `(batch, length)`, token ids.
        loss_fn: Ignored; taken so that it stands in for any token attack.
        positions: Boolean tensor `(batch, length)`, the positions that may be replaced.
        vocabulary: A `Vocabulary`.

    Returns:
        Integer tensor like `inputs`.
    """

    def __init__(self, num_substitutions=1, seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.num_substitutions = check_count("num_substitutions", num_substitutions)
        self._freeze()

    def call(self, inputs, loss_fn=None, positions=None, vocabulary=None):
        shape = ops.shape(inputs)
        order = draw_rows(keras.random.uniform, shape, seed=self.seed_generator)
        # Draws are below 1, so what must not be replaced comes last.
        order = ops.where(positions, order, 2.0)
        # The k positions with the smallest draws, among those that may be replaced.
        rank = ops.argsort(ops.argsort(order, axis=-1), axis=-1)
        chosen = ops.logical_and(positions, rank < self.num_substitutions)
        drawn = self._draw_tokens(shape, vocabulary.allowed)
        return ops.where(chosen, ops.cast(drawn, inputs.dtype), inputs)

    def _draw_tokens(self, shape, allowed):
        """Draws allowed tokens uniformly: the n-th allowed one, n uniform."""
        counts = ops.cumsum(ops.cast(allowed, "int32"))
        total = ops.cast(counts[-1], "float32")
        share = draw_rows(keras.random.uniform, shape, seed=self.seed_generator)
        wanted = ops.cast(ops.floor(share * total), "int32") + 1
        return ops.reshape(ops.searchsorted(counts, ops.reshape(wanted, (-1,))), shape)

    def get_config(self):
        config = super().get_config()
        config.update({"num_substitutions": self.num_substitutions})
        return config
