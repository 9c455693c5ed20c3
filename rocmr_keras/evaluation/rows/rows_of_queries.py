"""One row for each query and attack: what a table of recalls was counted from."""

import json

import numpy as np

from rocmr_keras.evaluation.encoded_split import EncodedSplit
from rocmr_keras.evaluation.encoding.embeddings import load_queries
from rocmr_keras.evaluation.examples.at_random import attacked_captions
from rocmr_keras.evaluation.examples.worst import attack_queries
from rocmr_keras.evaluation.rows.threats_of_report import threats_of
from rocmr_keras.evaluation.rows.written_inputs import levels_of
from rocmr_keras.evaluation.rows.written_inputs import ranks_as_written
from rocmr_keras.metrics.directions import CROSS_MODAL
from rocmr_keras.metrics.directions import sides

_TOLD = ("attack", "epsilon", "norm", "num_steps", "num_substitutions", "num_edits")
# Pictures that are in memory at once.
_CHUNK = 256


def query_rows(split, report, ranks):
    """Lists every query under every attack, from which the tables can be counted again.

    Args:
        split: The `rocmr_keras.data.Split` of the report.
        report: Dict, as `evaluate` or `auto_attack` returns it.
        ranks: Dict, what `return_ranks=True` gives beside it.

    Returns:
        List of dicts of plain values: `attack` and its `protocol`; `direction`; `query`, the
        position in the split; `image_id`, the id of the query; `caption`, `None` of an image;
        `rank_before` and `rank_after`, of the best right item; `stage`, of AutoAttack the
        one that did the worst, empty where none did harm; and `budget`, as JSON.

    Example:

    ```python
    report, ranks = evaluate(model, split, {"pgd": PGD(8 / 255)}, return_ranks=True)
    rows = query_rows(split, report, ranks)
    np.mean([row["rank_after"] == 1 for row in rows if row["direction"] == "image_to_text"])
    ```
    """
    return [
        row
        for attack in report["attacks"]
        for direction in ranks[attack]
        for row in _rows(split, report, ranks, attack, direction)
    ]


def attacked_rows(model, split, report, ranks, threats=None, batch_size=64, verbose=0):
    """Yields the rows of `query_rows`, with the attacked inputs of queries that fell or rose.

    Attacks are run again, on those queries only whose rank has changed: of `AutoAttack` the stage
    that did the worst. This is done under the protocol `"query"`, where the query is all that
    was changed, and between modalities. Random draws differ in smaller batches, and a picture
    is rounded to 256 levels: so `rank_after` is that of the report and `rank_written` that of
    what is here, encoded again. Rounding does not leave the ball.

    Args:
        model: The `DualEncoder` or `Adapter` of the report.
        split: As in `query_rows`.
        report: As in `query_rows`.
        ranks: As in `query_rows`.
        threats: Dict from names to `Threat`s or bare attacks, those of `evaluate`; not needed
            for `auto_attack`. Attacks that are not in it are not run again. Defaults to `None`.
        batch_size: Integer, queries attacked at once. Defaults to `64`.
        verbose: `1` for progress bars. Defaults to `0`.

    Yields:
        Dicts like those of `query_rows`, where the rank has changed with
        `adversarial_caption`, a string, or `picture`, uint8 `(height, width, 3)`, as large as
        the model sees it, and `rank_written`. For `rocmr_keras.reports.write_rows`.
    """
    encoded = EncodedSplit(model, split, batch_size=batch_size, verbose=verbose)
    for attack, run in report["attacks"].items():
        known = threats_of(run, (threats or {}).get(attack))
        for direction in ranks[attack]:
            rows = _rows(split, report, ranks, attack, direction)
            for start in range(0, len(rows), _CHUNK):
                yield from _with_inputs(encoded, known, direction, rows[start : start + _CHUNK])


def _rows(split, report, ranks, attack, direction):
    ranking = ranks[attack][direction]
    stages = getattr(ranking, "stages", np.full(len(ranking.queries), ""))
    clean = ranks["clean"][direction].take(ranking.queries).ranks
    is_image = sides(direction)[0] == "images"
    ids = split.image_ids if is_image else split.caption_image_ids
    budget = report["attacks"][attack]["budget"]
    return [
        {
            "attack": attack,
            "protocol": budget["protocol"],
            "direction": direction,
            "query": int(query),
            "image_id": int(ids[query]),
            "caption": None if is_image else split.captions[query],
            "rank_before": int(before),
            "rank_after": int(after),
            "stage": str(stage),
            "budget": _short(budget),
        }
        for query, before, after, stage in zip(ranking.queries, clean, ranking.ranks, stages)
    ]


def _short(budget):
    """The numbers that say how strong an attack is; all of them are in the report."""
    sides_of = [budget[key] for key in ("image_attack", "text_attack") if budget.get(key)]
    told = [
        {key: attack[key] for key in _TOLD if attack.get(key) is not None}
        for attack in ([budget] if "attack" in budget else sides_of)
    ]
    return json.dumps(told[0] if len(told) == 1 else told)


def _with_inputs(encoded, threats, direction, rows):
    """Adds what was attacked to a few rows of one direction."""
    changed = [row for row in rows if row["rank_after"] != row["rank_before"]]
    for stage in dict.fromkeys(row["stage"] for row in changed):
        threat = threats.get(stage)
        if threat is not None and direction in CROSS_MODAL:
            chosen = [row for row in changed if row["stage"] == stage]
            _add(encoded, threat, direction, chosen)
    return rows


def _add(encoded, threat, direction, rows):
    """Attacks the queries of some rows, and writes the results into the rows."""
    modality, queries = sides(direction)[0], np.array([row["query"] for row in rows])
    attack = threat.attack_on(modality)
    if modality == "texts" and not getattr(attack, "writes_text", False):
        return
    found = attack_queries(encoded, threat, direction, queries)
    if modality == "images":
        clean = load_queries(encoded.model, encoded.split, "images", queries)["images"]
        written, name = levels_of(found["adversarial_images"], np.asarray(clean), attack), "picture"
    else:
        pairs = attacked_captions(encoded.model, encoded.split, queries, found)
        written, name = [after for _, after in pairs], "adversarial_caption"
    ranks = ranks_as_written(encoded, direction, queries, written)
    for row, value, rank in zip(rows, written, ranks):
        row.update({name: value, "rank_written": rank})
