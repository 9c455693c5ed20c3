import keras
from keras import ops

from rocmr_keras.attacks.ascent import forward
from rocmr_keras.attacks.attack import safe_gradient
from rocmr_keras.attacks.checks import check_count
from rocmr_keras.attacks.tokens.beam import NEVER
from rocmr_keras.attacks.tokens.beam import advance_beam
from rocmr_keras.attacks.tokens.beam import best_of_beam
from rocmr_keras.attacks.tokens.swap_masks import SwapMask
from rocmr_keras.attacks.tokens.swap_scores import Swaps
from rocmr_keras.attacks.tokens.token_attack import TokenAttack
from rocmr_keras.backend import draw_rows

# How far the random start is from the clean embedding, as a share of its norm.
_START = 0.1
# Tokens among which the look-ahead chooses: its mean gradient may rank others first.
_SHORTLIST = 32


@keras.saving.register_keras_serializable(package="rocmr_keras")
class TokenSubstitution(TokenAttack):
    """HotFlip with exact scoring: replaces the tokens that raise the loss most.

    The gradient with respect to the token embeddings ranks all swaps at all positions. The
    best `num_candidates` are then scored exactly, in one batch, and the best of these is
    made if it raises the loss. There is one such round per substitution, and a position is
    replaced at most once. `epsilon_scale` is the share of texts that are attacked, drawn at
    random, as a number of tokens cannot be scaled.

    Args:
        num_substitutions: Integer, the most tokens of a text to replace. Defaults to `1`.
        num_candidates: Integer, swaps of each text that are evaluated exactly in each
            round. Defaults to `32`.
        seed: Integer or `None`; draws who is attacked where `epsilon_scale` is below 1.
            Defaults to `None`.
        candidates: A mask of the swaps that are allowed, `NearestNeighbors` or
            `WholeWords`, or `None` for the whole vocabulary but special tokens.
            Defaults to `None`.
        beam_size: Integer, partial texts that the search goes on with after each
            substitution; all of them are scored in one batch. `1` is greedy search, and
            no beam is weaker than a smaller one. Defaults to `1`.
        random_start: Boolean, whether the gradient is taken at embeddings moved at random
            by a tenth of their norm, at the cost of a forward pass: for objectives such
            as `embedding_distance`, whose gradient is zero at the clean text. Defaults
            to `False`.
        match_length: Boolean, whether the ranking takes each new embedding at the length of
            the one it replaces. An encoder that normalises what it reads sees only the
            direction, while the first-order estimate prefers long embeddings. `False` is
            that estimate as it is (HotFlip), right where nothing is normalised. Defaults
            to `True`.
        look_ahead: Boolean, whether the first candidate is scored together with the gradient
            there, and the mean of both gradients ranks the others, at the cost of two
            candidates more. 32 candidates then find about what 128 do without, and 2 what
            32 do (on a pretrained MiniLM four fifths of it), which is enough for training.
            Means nothing for a single candidate. Defaults to `True`.
        num_drawn: Integer, tokens among which a text looks for swaps, drawn for each text in
            each round at even steps through the vocabulary, or `None` for all of it. For
            training: with 30,000 words the ranking of all is most of a step. A search that is
            reported should see them all. Defaults to `None`.

    Call arguments:
        inputs: Integer tensor `(batch, length)`, token ids.
        loss_fn: Callable from token embeddings `(n * batch, length, dim)`, `n` stacked
            copies of the batch, to losses `(n * batch,)`.
        positions: Boolean tensor `(batch, length)`, the positions that may be replaced:
            neither padding nor special tokens.
        vocabulary: A `Vocabulary`.

    Returns:
        Integer tensor like `inputs`.

    Raises:
        ValueError: If a count is not positive, or `candidates` is no mask.

    Reference:
        - [Ebrahimi et al., 2018](https://arxiv.org/abs/1712.06751), HotFlip
        - [Zou et al., 2023](https://arxiv.org/abs/2307.15043), GCG
    """

    def __init__(
        self,
        num_substitutions=1,
        num_candidates=32,
        seed=None,
        candidates=None,
        beam_size=1,
        random_start=False,
        match_length=True,
        look_ahead=True,
        num_drawn=None,
        **kwargs,
    ):
        super().__init__(seed=seed, **kwargs)
        self.num_substitutions = check_count("num_substitutions", num_substitutions)
        self.num_candidates = check_count("num_candidates", num_candidates)
        self.candidates = _check_candidates(candidates)
        self.beam_size = check_count("beam_size", beam_size)
        self.random_start = random_start
        self.match_length = match_length
        self.look_ahead = look_ahead
        self.num_drawn = None if num_drawn is None else check_count("num_drawn", num_drawn)
        self._freeze()

    def call(self, inputs, loss_fn, positions, vocabulary):
        # Draws are below 1: at full scale every text is attacked.
        share = draw_rows(keras.random.uniform, ops.shape(inputs)[:1], seed=self.seed_generator)
        attacked = ops.expand_dims(share < self.epsilon_scale, 1)
        positions = ops.logical_and(positions, attacked)
        beam = ops.expand_dims(inputs, 0)
        for _ in range(self.num_substitutions):
            unchanged = ops.logical_and(positions, beam == inputs)
            beam, losses = self._substitute(beam, loss_fn, unchanged, vocabulary)
        return best_of_beam(beam, losses)

    def _substitute(self, beam, loss_fn, positions, vocabulary):
        """Makes one substitution in each lane `(lanes, batch, length)` of the beam."""
        lanes, _, length = beam.shape
        token_ids = ops.reshape(beam, (-1, length))
        rows = vocabulary.embed(token_ids)
        losses, gradient, stalled = safe_gradient(loss_fn, self._near(rows))
        if self.random_start:
            # So far the losses are those of moved embeddings, which are no text.
            losses = forward(loss_fn, rows)
        self.count_gradients(ops.sum(stalled), ops.cast(ops.shape(token_ids)[0], "float32"))
        swaps = Swaps(
            token_ids,
            ops.reshape(positions, (-1, length)),
            vocabulary,
            self.candidates,
            self.match_length,
        )
        texts, found = self._try(swaps, gradient, loss_fn)
        shape = (texts.shape[0], lanes, -1)
        return advance_beam(
            beam,
            ops.reshape(losses, (lanes, -1)),
            ops.reshape(texts, (*shape, length)),
            ops.reshape(found, shape),
            self.beam_size,
        )

    def _try(self, swaps, gradient, loss_fn):
        """Returns texts with one swap made `(copies, batch, length)`, and their losses."""
        if not self.look_ahead or self.num_candidates == 1:
            tokens = self._tokens(swaps, gradient, self.num_candidates)
            *best, valid = swaps.best(gradient, tokens, self.num_candidates)
            return _score(swaps.write(*best), valid, swaps, loss_fn)
        count = self.num_candidates - 1
        tokens = self._tokens(swaps, gradient, max(count, _SHORTLIST))
        *first, valid = swaps.best(gradient, tokens, 1)
        text = swaps.write(*first)
        losses, second, _ = safe_gradient(loss_fn, swaps.vocabulary.embed(text[0]))
        but = [part[0] for part in first]
        *best, others = swaps.best((gradient + second) / 2.0, tokens, count, but)
        texts, found = _score(swaps.write(*best), others, swaps, loss_fn)
        losses = _counted(losses[None], valid)
        return ops.concatenate([text, texts]), ops.concatenate([losses, found])

    def _tokens(self, swaps, gradient, count):
        """Returns tokens `(batch, n)` to choose from: the most promising, or any few."""
        size = swaps.table.shape[0]
        if self.num_drawn is None or self.num_drawn >= size:
            return swaps.shortlist(gradient, count)
        shape = ops.shape(swaps.token_ids)[:1]
        first = draw_rows(keras.random.uniform, shape, seed=self.seed_generator)
        # Ids often go by frequency: even steps meet frequent and rare words alike.
        steps = ops.arange(self.num_drawn, dtype="float32") / self.num_drawn
        share = (first[:, None] + steps) % 1.0
        tokens = ops.cast(ops.floor(share * size), swaps.token_ids.dtype)
        return ops.minimum(tokens, size - 1)

    def _near(self, rows):
        """Returns where the gradient is taken."""
        if not self.random_start:
            return rows
        norm = ops.sqrt(ops.sum(ops.square(rows), axis=-1, keepdims=True))
        noise = draw_rows(keras.random.normal, ops.shape(rows), seed=self.seed_generator)
        # The length of a normal vector is about the root of its dimension.
        return rows + _START * norm * noise / rows.shape[-1] ** 0.5

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "num_substitutions": self.num_substitutions,
                "num_candidates": self.num_candidates,
                "candidates": keras.saving.serialize_keras_object(self.candidates),
                "beam_size": self.beam_size,
                "random_start": self.random_start,
                "match_length": self.match_length,
                "look_ahead": self.look_ahead,
                "num_drawn": self.num_drawn,
            }
        )
        return config

    @classmethod
    def from_config(cls, config):
        candidates = keras.saving.deserialize_keras_object(config.get("candidates"))
        return cls(**{**config, "candidates": candidates})


def _score(texts, valid, swaps, loss_fn):
    copies, _, length = texts.shape
    losses = forward(loss_fn, swaps.vocabulary.embed(ops.reshape(texts, (-1, length))))
    return texts, _counted(ops.reshape(losses, (copies, -1)), valid)


def _counted(losses, valid):
    return ops.where(ops.logical_and(valid, ops.isfinite(losses)), losses, NEVER)


def _check_candidates(candidates):
    if candidates is not None and not isinstance(candidates, SwapMask):
        raise ValueError(
            "`candidates` must be a swap mask or None. Received: candidates="
            f"{candidates!r}. Pass e.g. candidates=WholeWords()."
        )
    return candidates
