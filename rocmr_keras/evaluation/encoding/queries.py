import json

import numpy as np

from rocmr_keras.attacks import QueryEncoder
from rocmr_keras.attacks import StringAttack
from rocmr_keras.evaluation.encoding.embeddings import load_queries
from rocmr_keras.evaluation.encoding.readable import keep_readable
from rocmr_keras.evaluation.encoding.readable import must_be_readable
from rocmr_keras.evaluation.encoding.strings import attack_strings
from rocmr_keras.metrics.directions import across
from rocmr_keras.padded_batches import in_batches


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
    if not must_be_readable(encoded.model, attack):
        return _run(encoded, modality, attack, objective, searched, queries, keep_inputs)

    def search(attack, queries):
        return _run(encoded, modality, attack, objective, searched, queries)

    queries = np.arange(len(encoded.clean.texts)) if queries is None else np.asarray(queries)
    found = keep_readable(encoded, attack, search(attack, queries), queries, search)
    dropped = () if keep_inputs else ("adversarial_token_ids",)
    return {name: value for name, value in found.items() if name not in dropped}


def _run(encoded, modality, attack, objective, searched, queries, keep_inputs=True):
    attacker = encoded.attacker(modality, attack.fresh(), objective, searched)
    found = attacker.run(queries, keep_inputs=keep_inputs)
    return {**found, "stalled_share": attacker.encoder.attack.stalled_share}


class QueryAttacker:
    """Runs one attack on queries of a split: compiled once, run as often as needed.

    A curve over budgets keeps one and rescales the attack between runs; other evaluations get
    theirs from `EncodedSplit.attacker`.

    Args:
        encoded: An `EncodedSplit`.
        modality: `"images"` or `"texts"`, which side of the split is attacked.
        attack: An `Attack` on that modality, which is run itself, not a copy.
        objective: String or callable.
        searched: The `SearchedGallery` that the queries are attacked against.
    """

    def __init__(self, encoded, modality, attack, objective, searched):
        self.encoded = encoded
        self.relevance = searched.relevance
        self.encoder = QueryEncoder(encoded.model, modality, attack, objective, searched.embeddings)

    def take(self, attack, searched):
        """Becomes the attacker of another budget or seed, as it would be if made anew.

        Args:
            attack: An `Attack` that has run nothing yet, of the same `compiled_key`.
            searched: A `SearchedGallery` of as many items.
        """
        own = self.encoder.attack
        own.epsilon_scale.assign(attack.epsilon / own.epsilon)
        own.seed_generator.state.assign(attack.seed_generator.state)
        own.reset_counts()
        self.encoder.gallery.assign(searched.embeddings)
        self.relevance = searched.relevance

    def run(self, queries=None, starts=None, keep_inputs=True):
        """Attacks queries in batches of one size, so that one trace serves them all.

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
        if queries is None:
            queries = np.arange(len(encoded.embeddings(modality)))
        # Lists do not take an array as an index.
        queries = np.asarray(queries)

        def step(chosen):
            rows = queries[chosen]
            batch = load_queries(encoded.model, encoded.split, modality, rows)
            batch.update(self.relevance.ground_truth(rows))
            if starts is not None:
                batch["start_images"] = starts[rows]
            # Dropped here, not at the end: the images of a whole split may not fit in memory.
            found = self.encoder.predict_on_batch(batch)
            return found if keep_inputs else {"embeddings": found["embeddings"]}

        batch_size = min(encoded.batch_size, len(queries))
        return in_batches(step, len(queries), batch_size, encoded.verbose)


def compiled_key(attack, *others):
    """Names the compiled step that an attack needs, or `None` if that serves it alone.

    Args:
        attack: An `Attack`.
        *others: Whatever else the step depends on, hashable.
    """
    config = attack.describe()
    epsilon, _ = config.pop("epsilon", 0), config.pop("seed")
    # A subclass may scale otherwise. A step of a given size does not grow with the budget.
    scales = vars(type(attack)).get("scales_epsilon", False)
    if not scales or not epsilon or config.get("step_size") is not None:
        return None
    return type(attack), json.dumps(config, sort_keys=True, default=str), *others
