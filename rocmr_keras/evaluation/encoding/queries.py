import json

import numpy as np

from rocmr_keras.attacks import QueryEncoder
from rocmr_keras.attacks import StringAttack
from rocmr_keras.evaluation.encoding.embeddings import load_queries
from rocmr_keras.evaluation.encoding.readable import keep_readable
from rocmr_keras.evaluation.encoding.readable import must_be_readable
from rocmr_keras.evaluation.encoding.strings import attack_strings
from rocmr_keras.evaluation.encoding.unasked import encode_unasked
from rocmr_keras.metrics.directions import across
from rocmr_keras.padded_batches import in_batches

# A batch of few queries may be as small as an eighth of a full one. Compiling for a size more
# takes seconds, a full batch under an attack of many steps on a large model takes minutes.
_HALVINGS = 3


def encode_attacked(
    encoded,
    modality,
    attack,
    objective="contrastive",
    searched=None,
    queries=None,
    keep_inputs=True,
):
    """Attacks the queries of one modality and encodes what was found.

    Args:
        encoded: An `EncodedSplit`.
        modality: `"images"` or `"texts"`, which side of the split is attacked.
        attack: An attack on that side; on texts also a `StringAttack`. A fresh
            copy is run: the result depends on its seed, not on what it did before. What
            one with `WholeWords` writes, the tokenizer reads again; where it reads other
            tokens, the next best is taken.
        objective: String or callable. Defaults to `"contrastive"`.
        searched: The `SearchedGallery` that the queries are attacked against, or `None` for
            the clean items of the other modality. Defaults to `None`.
        queries: Integer array, not empty, the positions of the queries to attack, or `None`
            for all. Defaults to `None`.
        keep_inputs: Boolean, whether to return the attacked inputs as well as their
            embeddings; thousands of images take gigabytes. Defaults to `True`.

    Returns:
        Dict of arrays, see `rocmr_keras.attacks.QueryEncoder`, and `stalled_share`,
        the share of gradients that were zero or not finite. An attack on strings finds
        `adversarial_captions`, a list of strings, and says by `text_changes` how far they
        are from the captions.

    Example:

    ```python
    encoded = EncodedSplit(model, dataset["test"])
    found = encode_attacked(encoded, "images", PGD(8 / 255, num_steps=20))
    found["adversarial_images"].shape
    ```
    """
    if searched is None:
        searched = encoded.searched(across(modality))
    if modality == "texts" and isinstance(attack, StringAttack):
        found = attack_strings(encoded, attack, objective, searched, queries)
        # Without gradients none can stall.
        return {**found, "stalled_share": 0.0}
    if not getattr(attack, "asks_model", True):
        found = encode_unasked(encoded, attack, queries, keep_inputs)
        return {**found, "stalled_share": 0.0}
    if not must_be_readable(encoded.model, attack):
        return _run(encoded, modality, attack, objective, searched, queries, keep_inputs)

    def search(attack, queries):
        return _run(encoded, modality, attack, objective, searched, queries)

    queries = np.arange(len(encoded.clean.texts)) if queries is None else np.asarray(queries)
    found = keep_readable(encoded, attack, search(attack, queries), queries, search)
    dropped = () if keep_inputs else ("adversarial_token_ids",)
    return {name: value for name, value in found.items() if name not in dropped}


def _run(encoded, modality, attack, objective, searched, queries, keep_inputs=True):
    with encoded.attacker(modality, attack.fresh(), objective, searched) as attacker:
        found = attacker.run(queries, keep_inputs=keep_inputs)
        return {**found, "stalled_share": attacker.encoder.attack.stalled_share}


class QueryAttacker:
    """Runs one attack on queries of a split: compiled once, run as often as needed.

    A curve over budgets makes one and rescales the attack between runs; other evaluations
    borrow theirs from `EncodedSplit.attacker`.

    Args:
        encoded: An `EncodedSplit`.
        encoder: A `QueryEncoder` with the attack and the gallery that is attacked against.
        relevance: The `Relevance` of the queries to that gallery.
        objective: The objective of the encoder, or one that begins at another rank. Defaults to
            `None`: the encoder's own.
    """

    def __init__(self, encoded, encoder, relevance, objective=None):
        self.encoded = encoded
        self.encoder = encoder
        self.relevance = relevance
        self.objective = objective

    def run(self, queries=None, starts=None, keep_inputs=True):
        """Attacks queries in batches of one size or few, so that few traces serve them all.

        Args:
            queries: As in `encode_attacked`.
            starts: Float array `(images, height, width, 3)`, where the attack on each image
                of the split begins, or `None` for what the attack does by itself. Defaults
                to `None`.
            keep_inputs: As in `encode_attacked`.

        Returns:
            Dict of arrays, see `rocmr_keras.attacks.QueryEncoder`.
        """
        encoded, modality = self.encoded, self.encoder.side
        count = len(encoded.embeddings(modality))
        if queries is None:
            queries = np.arange(count)
        # Lists do not take an array as an index.
        queries = np.asarray(queries)

        def step(chosen):
            rows = queries[chosen]
            batch = load_queries(encoded.model, encoded.split, modality, rows)
            batch.update(self.relevance.ground_truth(rows))
            batch.update(_first_rank(self.objective, len(rows)))
            if starts is not None:
                batch["start_images"] = starts[rows]
            # Dropped here, not at the end: the images of a whole split may not fit in memory.
            found = self.encoder.predict_on_batch(batch)
            return found if keep_inputs else {"embeddings": found["embeddings"]}

        # Not the number of queries: stages that meet ever fewer would be compiled each time.
        size = min(encoded.batch_size, count)
        return in_batches(step, len(queries), size, encoded.verbose, halvings=_HALVINGS)


def make_encoder(encoded, modality, attack, objective, searched):
    """Returns a `QueryEncoder` that runs an attack itself, not a copy of it."""
    return QueryEncoder(encoded.model, modality, attack, objective, searched.embeddings)


def start_anew(encoder, attack, searched):
    """Makes an encoder what it would be with another attack of its `compiled_key`.

    Args:
        encoder: A `QueryEncoder`.
        attack: An `Attack` that has run nothing yet.
        searched: A `SearchedGallery` of as many items as that of the encoder.
    """
    own = encoder.attack
    if own is not attack:
        for variable, value in zip(own.variables, attack.variables, strict=True):
            variable.assign(value)
        if _scales(attack):
            own.epsilon_scale.assign(attack.epsilon / own.epsilon)
        encoder.gallery.assign(searched.embeddings)


def compiled_key(attack, *others):
    """Names the compiled step that an attack needs, or `None` if that serves it alone.

    Attacks of another seed share it, and of another budget where they scale with it.

    Args:
        attack: An `Attack`.
        *others: Whatever else the step depends on, hashable.
    """
    config = attack.describe()
    config.pop("seed", None)
    if _scales(attack):
        config.pop("epsilon")
    try:
        return type(attack), json.dumps(config, sort_keys=True), *others
    except TypeError:
        # What has no plain values cannot be compared.
        return None


def _scales(attack):
    # A subclass may scale otherwise. A step of a given size does not grow with the budget.
    scales = vars(type(attack)).get("scales_epsilon", False)
    return bool(scales and attack.epsilon and getattr(attack, "step_size", None) is None)


def _first_rank(objective, count):
    """What a batch brings where an objective begins at some rank: one trace for all of them."""
    first = getattr(objective, "first", None)
    return {} if first is None else {"first_rank": np.full(count, first, "int32")}
