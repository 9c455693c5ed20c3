import numpy as np

from rocmr_keras.evaluation.encoded_split import EncodedSplit
from rocmr_keras.evaluation.encoding.queries import encode_attacked
from rocmr_keras.evaluation.examples.at_random import attacked_captions
from rocmr_keras.evaluation.examples.at_random import check_writes_text
from rocmr_keras.evaluation.examples.at_random import show_item
from rocmr_keras.evaluation.recall_report import as_threat
from rocmr_keras.metrics.directions import CROSS_MODAL
from rocmr_keras.metrics.directions import sides


def worst_failures(
    model, split, threat, count=3, num_queries=256, batch_size=64, seed=0, verbose=0
):
    """Attacks queries that are right when clean, and shows those whose rank falls the most.

    Unlike `adversarial_pairs`, which draws at random, it shows the worst cases. The attack is
    run anew, so with random starts a rank may differ from the one in a report.

    Args:
        model: A `DualEncoder` with a preprocessor.
        split: A `rocmr_keras.data.Split`.
        threat: A `Threat` under the protocol `"query"`, or a bare attack; on texts a
            `TokenAttack` or a `StringAttack`.
        count: Integer, how many to show in each direction. Defaults to `3`.
        num_queries: Integer, how many of the right ones are attacked, a random draw if there are
            more. Defaults to `256`.
        batch_size: Integer. Defaults to `64`.
        seed: Integer, of the draw. Defaults to `0`.
        verbose: `1` for progress bars. Defaults to `0`.

    Returns:
        Dict from each direction that is attacked to a dict: `right`, the number of queries at
        rank 1 when clean; `tried`, of how many the attack was run; `fallen`, how many of
        these lost rank 1; and `examples`, the furthest fallen, worst first. An example has the
        `query` and the `adversarial_query`, the `rank` before and after, and the gallery's
        item that came first `before` and the wrong one that does `after`: images as float
        arrays, captions as strings. For `write_html_report`.

    Raises:
        ValueError: If the protocol is another, or what the text attack does cannot be read.

    Example:

    ```python
    failures = worst_failures(model, dataset["test"], PGD(8 / 255, num_steps=20))
    write_html_report("report.html", report, failures={"pgd20 8/255": failures})
    ```
    """
    threat = as_threat(threat)
    _check(threat)
    encoded = EncodedSplit(model, split, batch_size=batch_size, verbose=verbose)
    rng = np.random.default_rng(seed)
    failures = {}
    attacked = [name for name in CROSS_MODAL if threat.attack_on(sides(name)[0]) is not None]
    for direction, ranking in encoded.rank_clean(attacked).items():
        right = ranking.queries[ranking.ranks == 1]
        tried = np.sort(rng.permutation(right)[:num_queries])
        found = attack_queries(encoded, threat, direction, tried) if len(tried) else None
        failures[direction] = {
            "right": len(right),
            "tried": len(tried),
            **furthest(encoded, direction, tried, found, count),
        }
    return failures


def attack_queries(encoded, threat, direction, queries):
    """Attacks some queries of a direction, see `encode_attacked` for what it returns."""
    modality = sides(direction)[0]
    attack = threat.attack_on(modality)
    return encode_attacked(encoded, modality, attack, threat.objective, queries=queries)


def furthest(encoded, direction, queries, found, count):
    """Shows the queries that an attack moved the furthest.

    Args:
        encoded: An `EncodedSplit`.
        direction: String.
        queries: Integer array, ascending, the attacked ones, all at rank 1 when clean.
        found: What `attack_queries` returns for them, or `None` if there is none.
        count: Integer, how many to show.

    Returns:
        Dict of `fallen`, how many lost rank 1, and `examples`, see `worst_failures`.
    """
    if found is None:
        return {"fallen": 0, "examples": []}
    embeddings = np.array(encoded.embeddings(sides(direction)[0]))
    embeddings[queries] = found["embeddings"]
    ranks = encoded.rank(direction, queries=embeddings, only=queries).ranks
    order = np.argsort(-ranks, kind="stable")[:count]
    captions = None
    if sides(direction)[0] == "texts":
        captions = attacked_captions(encoded.model, encoded.split, queries, found)
    return {
        "fallen": int((ranks > 1).sum()),
        "examples": [
            {
                "rank": (1, int(ranks[place])),
                **_query(encoded, queries, found, captions, place),
                **_retrieved(encoded, direction, queries[place], embeddings[queries[place]]),
            }
            for place in order
            if ranks[place] > 1
        ],
    }


def _query(encoded, queries, found, captions, place):
    if captions is not None:
        return dict(zip(("query", "adversarial_query"), captions[place]))
    return {
        "query": show_item(encoded.model, encoded.split, "images", queries[place]),
        "adversarial_query": found["adversarial_images"][place],
    }


def _retrieved(encoded, direction, query, moved):
    """The right item that came first, and the wrong one that comes first now."""
    modality, items = sides(direction)
    gallery, clean = encoded.embeddings(items), encoded.embeddings(modality)[query]
    _, right = encoded.relevance(direction).take(np.array([query]))
    scores = gallery @ moved
    # In a tie, which counts as lost, a right item may still come first here.
    scores[right] = -np.inf
    before = right[np.argmax(gallery[right] @ clean)]
    return {
        "before": show_item(encoded.model, encoded.split, items, before),
        "after": show_item(encoded.model, encoded.split, items, int(np.argmax(scores))),
    }


def _check(threat):
    if threat.text_attack is not None:
        check_writes_text(threat.text_attack)
    if threat.protocol.name != "query":
        raise ValueError(
            "`threat` must be of the protocol 'query': only the query is shown. Received: "
            f"protocol {threat.protocol.name!r}. Leave `protocol` out."
        )
