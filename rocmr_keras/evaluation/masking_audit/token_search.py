"""Checks the gradient of the text tower against searches that do without."""

import numpy as np
from keras import ops

from rocmr_keras.attacks import Goal
from rocmr_keras.attacks import Target
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.attacks.ascent import forward
from rocmr_keras.attacks.attack import safe_gradient
from rocmr_keras.attacks.tokens.encoder_inputs import changeable
from rocmr_keras.attacks.tokens.encoder_inputs import embedding_losses
from rocmr_keras.attacks.tokens.encoder_inputs import vocabulary_of
from rocmr_keras.evaluation.encoding.embeddings import load_queries
from rocmr_keras.evaluation.masking_audit.judgement import LEVEL
from rocmr_keras.evaluation.masking_audit.judgement import chance
from rocmr_keras.evaluation.masking_audit.judgement import judge
from rocmr_keras.padded_batches import in_batches

_DIRECTION = "text_to_image"
_NUM_TEXTS = 100
_NUM_DRAWS = 12
# The same cost: two of the candidates are scored with a gradient, about three forward passes.
_NUM_CANDIDATES = _NUM_DRAWS - 5
# Of the way to the new token. The smaller step meets fewer kinks, the larger one drowns less in
# the rounding of half precision: the better of both counts.
_STEPS = (0.03, 0.1)
# A true gradient foresees small steps but for kinks, curvature of the third order and rounding:
# their correlation is nearly 1. At 0.9 it misses a fifth of the variance, at 0.8 a third.
_TRUE, _HIDDEN = 0.9, 0.8


def token_search(probe):
    """One token in up to a hundred captions, over the whole vocabulary, on the margin.

    Random swaps are scored by forward passes, whole and in small steps. Small steps must do what
    the gradient says, or it is hidden. That the best whole swap beats what the gradient finds
    is no proof: tokens are far apart, and a true gradient may say little so far away.
    """
    found = _probe(probe)
    # Where no swap does anything, no gradient could tell swaps apart.
    effective = np.ptp(found["drawn"], axis=1) > 0.0
    if not effective.any():
        return judge("pass", 1.0, f"No swap in {len(effective)} texts changes a similarity.")
    foresight = np.max(
        [_correlation(found["foreseen"], found[f"step_{step}"]) for step in _STEPS], axis=0
    )[effective]
    led, drawn = found["led"], np.maximum(found["drawn"].max(axis=1), 0.0)
    explanation = (
        f"On {len(foresight)} texts the correlation of what the gradient foresees of small steps "
        f"and what forward passes find is {foresight.mean():.2f}. The best of {_NUM_CANDIDATES} "
        f"swaps chosen by gradient adds {led.mean():.4f} to the mean margin, the best of "
        f"{_NUM_DRAWS} drawn at random, at the same cost, {drawn.mean():.4f}."
    )
    return _judge(foresight, drawn - led, explanation)


def _judge(foresight, lead, explanation):
    figure = foresight.mean()
    if figure < _HIDDEN and chance(_HIDDEN - foresight) < LEVEL:
        return judge("fail", figure, f"{explanation} This gradient points elsewhere.")
    if figure < _TRUE:
        said = "A part of the gradient is missing: read searches without gradient beside it."
        return judge("caution", figure, f"{explanation} {said}")
    if chance(lead) < LEVEL:
        said = "The gradient is true but says little of whole swaps: search with more candidates."
        return judge("caution", figure, f"{explanation} {said}")
    return judge("pass", figure, explanation)


def _correlation(first, second):
    """Of each row, 0 where one side does not vary."""
    first, second = (values - values.mean(axis=1, keepdims=True) for values in (first, second))
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first * second).sum(axis=1) / np.where(lengths > 0.0, lengths, np.inf)


def _probe(probe):
    encoded = probe.encoded
    random = np.random.default_rng(probe.budget.seed)
    counted = encoded.relevance(_DIRECTION).counted
    # Spread over the split: captions of one image are no independent examples.
    places = np.linspace(0, len(counted) - 1, min(_NUM_TEXTS, len(counted)))
    rows = counted[places.astype(int)]
    attack = TokenSubstitution(1, _NUM_CANDIDATES, seed=probe.budget.seed)

    def step(chosen):
        return _attack(encoded, rows[chosen], attack, random)

    return in_batches(step, len(rows), min(encoded.batch_size, len(rows)))


def _attack(encoded, rows, attack, random):
    """What swaps in a batch add to the margins: chosen by gradient, drawn, and in small steps."""
    model = encoded.model
    batch = load_queries(model, encoded.split, "texts", rows)
    batch = {name: ops.convert_to_tensor(values) for name, values in batch.items()}
    loss_fn = embedding_losses(model, batch, Goal(_target(encoded, rows), "margin"))
    vocabulary, positions = vocabulary_of(model), changeable(model, batch)
    embeddings = model.embed_tokens(batch["token_ids"])
    clean, gradient, _ = safe_gradient(loss_fn, embeddings)
    texts = _draw(batch["token_ids"], positions, vocabulary, random)
    steps = model.embed_tokens(texts) - _copies(embeddings)

    def gains(embeddings):
        losses = ops.reshape(forward(loss_fn, embeddings), (-1, len(rows)))
        return ops.convert_to_numpy(losses - clean).T

    led = attack(batch["token_ids"], loss_fn=loss_fn, positions=positions, vocabulary=vocabulary)
    # From both sides, which cancels the curvature.
    small = {
        f"step_{step}": gains(_copies(embeddings) + step * steps)
        - gains(_copies(embeddings) - step * steps)
        for step in _STEPS
    }
    foreseen = ops.sum(_copies(gradient) * ops.cast(steps, "float32"), axis=(1, 2))
    return {
        "led": gains(model.embed_tokens(led))[:, 0],
        "drawn": gains(model.embed_tokens(texts)),
        **small,
        "foreseen": ops.convert_to_numpy(ops.reshape(foreseen, (-1, len(rows)))).T,
    }


def _target(encoded, rows):
    masks = encoded.relevance(_DIRECTION).ground_truth(rows)
    return Target(
        ops.convert_to_tensor(encoded.clean.images, "float32"),
        **{name: ops.convert_to_tensor(mask) for name, mask in masks.items()},
    )


def _draw(token_ids, positions, vocabulary, random):
    """Returns copies of the texts `(draws * batch, length)`, one random token swapped in each."""
    token_ids = np.tile(ops.convert_to_numpy(token_ids), (_NUM_DRAWS, 1))
    positions = np.tile(ops.convert_to_numpy(positions), (_NUM_DRAWS, 1))
    places = np.argmax(random.random(positions.shape) * positions, axis=1)
    allowed = np.flatnonzero(ops.convert_to_numpy(vocabulary.allowed))
    # A text without a word stays as it is.
    rows = np.flatnonzero(positions.any(axis=1))
    token_ids[rows, places[rows]] = random.choice(allowed, len(rows))
    return ops.convert_to_tensor(token_ids)


def _copies(values):
    return ops.tile(values, (_NUM_DRAWS, 1, 1))
