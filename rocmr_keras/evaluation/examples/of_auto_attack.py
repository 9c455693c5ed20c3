import numpy as np

from rocmr_keras.evaluation.encoded_split import EncodedSplit
from rocmr_keras.evaluation.ensemble.stages import query_stages
from rocmr_keras.evaluation.examples.worst import attack_queries
from rocmr_keras.evaluation.examples.worst import furthest


def auto_attack_failures(model, split, report, count=3, batch_size=64, verbose=0):
    """Shows the queries whose rank fell the most in an AutoAttack.

    `worst_failures` looks for such queries; here the report lists them, each with the stage
    of AutoAttack that did the damage. Only this stage is run again, on these queries only.
    Random draws differ in smaller batches, so a rank may differ from the one in the report.

    Args:
        model: A `DualEncoder` with a preprocessor, the one of the report.
        split: A `rocmr_keras.data.Split`, the one of the report.
        report: Dict, as `auto_attack` returns it.
        count: Integer, how many to show in each direction, at most those that the report lists.
            Defaults to `3`.
        batch_size: Integer. Defaults to `64`.
        verbose: `1` for progress bars. Defaults to `0`.

    Returns:
        Dict like that of `worst_failures`; each example has also `attack`, the name of the
        stage. For `write_html_report`.

    Raises:
        ValueError: If the report is of no `auto_attack`, or not of this split.

    Example:

    ```python
    report = auto_attack(model, split, epsilon=8 / 255)
    failures = {"auto query": auto_attack_failures(model, split, report)}
    write_html_report("report.html", report, failures)
    ```
    """
    _check(report, split)
    run = report["attacks"]["auto query"]
    threats = {stage.name: stage.threat for stage in query_stages(run["budget"])}
    encoded = EncodedSplit(model, split, batch_size=batch_size, verbose=verbose)
    failures = {}
    for direction, listed in run["worst"].items():
        right, left = (_at_first(figures[direction]) for figures in (report["clean"], run))
        examples = _examples(encoded, threats, direction, listed, count)
        failures[direction] = {
            "right": right,
            "tried": right,
            "fallen": right - left,
            "examples": sorted(examples, key=lambda example: -example["rank"][1])[:count],
        }
    return failures


def _examples(encoded, threats, direction, listed, count):
    """Attacks the listed queries again, those of one stage at once."""
    examples = []
    for stage in dict.fromkeys(entry["stage"] for entry in listed):
        # `furthest` wants them in ascending order.
        queries = np.sort([entry["query"] for entry in listed if entry["stage"] == stage])
        found = attack_queries(encoded, threats[stage], direction, queries)
        shown = furthest(encoded, direction, queries, found, count)["examples"]
        examples += [{**example, "attack": stage} for example in shown]
    return examples


def _at_first(figures):
    return round(figures["recall_at_1"] * figures["count"])


def _check(report, split):
    if "worst" not in report["attacks"].get("auto query", {}):
        raise ValueError(
            "`report` must be one of `auto_attack`, which lists its worst queries. Received: "
            f"a report of {list(report['attacks'])}. Use `worst_failures` for other attacks."
        )
    counts = {"images": len(split.images), "texts": len(split.captions)}
    if {name: report["counts"][name] for name in counts} != counts:
        raise ValueError(
            f"`split` must be the one of the report. Received: {counts} for a report of "
            f"{report['counts']}. Pass the split that `auto_attack` was given."
        )
