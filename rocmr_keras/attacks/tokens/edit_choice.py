import keras
from keras import ops

from rocmr_keras.attacks.attack import finite_losses
from rocmr_keras.attacks.tokens.edit_attack import EditAttack
from rocmr_keras.backend import discard_updates
from rocmr_keras.backend import draw_rows


@keras.saving.register_keras_serializable(package="rocmr_keras")
class CharacterChoice(EditAttack):
    """Chooses among edits that `CharacterDraws` or `HumanDraws` made before the step.

    The search of LEAF, for training: it takes the place whose probe has the highest loss,
    and there the edit of the highest loss, if that is above the loss of the caption. This
    costs two batched forward passes and no gradient, and one where there is one place only,
    as `HumanDraws` has. For evaluation use `CharacterEdits` or `HumanEdits`, which try
    all edits. `epsilon_scale` is the share of texts that are attacked,
    drawn at random.

    Args:
        seed: Integer or `None`; draws who is attacked where `epsilon_scale` is below 1.
            Defaults to `None`.

    Call arguments:
        inputs: Dict with `token_ids`, integer `(batch, length)`, and `padding_mask`, boolean
            `(batch, length)`.
        loss_fn: Callable from such a dict of `n` stacked copies of the batch to losses
            `(n * batch,)`.
        candidates: Dict of the same names, `(batch, places, edits, length)`, as
            `rocmr_keras.data.batches(...).with_edits(CharacterDraws())` gives; the first edit of
            each of several places is its probe.

    Returns:
        Dict like `inputs`.

    Reference:
        - [Abad Rocamora et al., 2025](https://arxiv.org/abs/2506.03355), LEAF
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self._freeze()

    def call(self, inputs, loss_fn, candidates):
        here = _at_worst_place(loss_fn, candidates)
        # The caption comes first and `argmax` takes the first of equals: no edit for nothing.
        choices = {
            name: ops.concatenate([inputs[name][:, None], texts], axis=1)
            for name, texts in here.items()
        }
        best = ops.argmax(_losses(loss_fn, choices), axis=1)
        share = draw_rows(keras.random.uniform, ops.shape(best), seed=self.seed_generator)
        best = ops.where(share < self.epsilon_scale, best, 0)
        return {name: _pick(texts, best) for name, texts in choices.items()}


def _at_worst_place(loss_fn, candidates):
    """Returns the edits `(batch, edits, length)` of the place that the probes point to."""
    if next(iter(candidates.values())).shape[1] == 1:
        return {name: texts[:, 0] for name, texts in candidates.items()}
    probes = {name: texts[:, :, 0] for name, texts in candidates.items()}
    worst = ops.argmax(_losses(loss_fn, probes), axis=1)
    return {name: _pick(texts, worst) for name, texts in candidates.items()}


def _losses(loss_fn, texts):
    """Returns the losses `(batch, n)` of texts `(batch, n, length)`."""
    count, length = next(iter(texts.values())).shape[1:]
    stacked = {name: ops.reshape(ops.swapaxes(x, 0, 1), (-1, length)) for name, x in texts.items()}
    with discard_updates():
        losses = finite_losses(loss_fn(stacked))
    return ops.transpose(ops.reshape(losses, (count, -1)))


def _pick(texts, index):
    """Takes the entry `index` `(batch,)` of each example along the second axis."""
    index = ops.reshape(ops.cast(index, "int32"), (-1,) + (1,) * (len(texts.shape) - 1))
    return ops.squeeze(ops.take_along_axis(texts, index, axis=1), axis=1)
