import keras
from keras import ops

from rocmr_keras.attacks import norms
from rocmr_keras.attacks.ascent import projected_ascent
from rocmr_keras.attacks.checks import check_budget
from rocmr_keras.attacks.checks import check_count
from rocmr_keras.attacks.images.pgd import default_step_size
from rocmr_keras.attacks.tokens.embedding_attack import EmbeddingAttack


@keras.saving.register_keras_serializable(package="rocmr_keras")
class EmbeddingPGD(EmbeddingAttack):
    """Projected gradient descent on the token embeddings of a text.

    Each token may move by `epsilon` times the norm of its own embedding, in the Euclidean
    norm. The result is not a text that anyone could write, but the attack is cheap and
    smooth enough for training. For evaluation use `TokenSubstitution`, which writes tokens.

    Args:
        epsilon: Float, the radius as a share of each token embedding's norm.
        num_steps: Integer, gradient steps. Defaults to `2`.
        step_size: Float in the same units, or `None` as in `PGD`. Defaults to `None`.
        random_start: Boolean, whether to start from a uniform draw of the ball.
            Defaults to `True`.
        keep_best: Boolean, whether each example keeps its best iterate, the clean one
            included; else the last. Defaults to `True`.
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        inputs: Float tensor `(batch, length, dim)`, token embeddings.
        loss_fn: Callable from such a tensor to losses `(batch,)`.
        positions: Boolean tensor `(batch, length)`, the tokens that may move: neither
            padding nor special tokens. Defaults to all.

    Returns:
        Float tensor like `inputs`.

    Raises:
        ValueError: If a budget is negative or a count is not positive.

    Reference:
        - [Zhu et al., 2020](https://arxiv.org/abs/1909.11764), FreeLB
        - [Gan et al., 2020](https://arxiv.org/abs/2006.06195), VILLA
    """

    scales_epsilon = True

    def __init__(
        self,
        epsilon,
        num_steps=2,
        step_size=None,
        random_start=True,
        keep_best=True,
        seed=None,
        **kwargs,
    ):
        super().__init__(seed=seed, **kwargs)
        self.epsilon = check_budget("epsilon", epsilon)
        self.num_steps = check_count("num_steps", num_steps)
        self.step_size = check_budget("step_size", step_size, optional=True)
        self.random_start = random_start
        self.keep_best = keep_best
        self._ball = norms.L2(axes=(-1,))
        self._freeze()

    def call(self, inputs, loss_fn, positions=None):
        inputs = ops.cast(inputs, "float32")
        # A position that may not move has a ball of radius zero.
        norm = ops.sqrt(ops.sum(ops.square(inputs), axis=-1, keepdims=True))
        if positions is not None:
            norm = norm * ops.cast(ops.expand_dims(positions, -1), "float32")
        radius = self.epsilon * self.epsilon_scale * norm
        step_size = default_step_size(self) * self.epsilon_scale * norm

        def step(current, gradient):
            move = step_size * self._ball.ascend(gradient)
            return inputs + self._ball.project(current - inputs + move, radius)

        start = inputs
        if self.random_start:
            shape = ops.shape(inputs)
            start = inputs + self._ball.sample(shape, radius, self.seed_generator)
        found, _, stalled = projected_ascent(
            start, inputs, loss_fn, step, self.num_steps, self.keep_best
        )
        self.count_gradients(stalled, ops.cast(ops.shape(inputs)[0] * self.num_steps, "float32"))
        return found

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "epsilon": self.epsilon,
                "num_steps": self.num_steps,
                "step_size": self.step_size,
                "random_start": self.random_start,
                "keep_best": self.keep_best,
            }
        )
        return config
