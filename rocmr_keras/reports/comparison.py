"""Reports of several models side by side: what may be compared, tables and curves."""

import json

from rocmr_keras.metrics.directions import CROSS_MODAL
from rocmr_keras.reports.formatting import ARROWS


def format_comparison(groups):
    """Formats reports of several models as Markdown, a table of recall@1/5/10 a protocol.

    A cell is the mean over a model's runs, in percent; half the range of recall@1 stands in
    parentheses where there are several. `format_report` is for one report.

    Args:
        groups: Dict from the name of a model to a list of reports of `evaluate`, one for each
            run, such as one for each seed.

    Returns:
        String of several lines.

    Raises:
        ValueError: If the reports are of different data or attacks.
    """
    check_comparable(
        {f"{name} {place}": run for name, runs in groups.items() for place, run in enumerate(runs)}
    )
    first = next(iter(groups.values()))[0]
    protocols = dict.fromkeys(run["budget"]["protocol"] for run in first["attacks"].values())
    return "\n".join(_table(groups, first, protocol) for protocol in protocols or ["query"])


def recall_curve(reports, k=1):
    """Returns the recall of image queries over the budgets of attacks on them.

    Args:
        reports: List of reports of `evaluate`, runs of one model; the mean is taken. The
            budgets are those of their PGD attacks, or those of an entry `curve`, a dict of the
            `budget` and lists `epsilon` and `recall_at_1/5/10`, where the reports have one.
        k: Integer, `1`, `5` or `10`. Defaults to `1`.

    Returns:
        Dict of lists of floats, `"epsilon"`, beginning with 0 for the clean recall, and
        `"recall"`, as `rocmr_keras.reports.pictures.recall_against_epsilon` takes them.
    """
    if all("curve" in report for report in reports):
        recalls = zip(*(report["curve"][f"recall_at_{k}"] for report in reports))
        return {
            "epsilon": reports[0]["curve"]["epsilon"],
            "recall": [_mean(of_one) for of_one in recalls],
        }
    points = [(0.0, [report["clean"] for report in reports])]
    for name, run in reports[0]["attacks"].items():
        attack = run["budget"].get("image_attack") or {}
        if attack.get("attack") == "PGD" and run["budget"]["protocol"] == "query":
            points.append((attack["epsilon"], [report["attacks"][name] for report in reports]))
    recalls = [_mean(_recalls(runs, "image_to_text", k)) for _, runs in points]
    return {"epsilon": [epsilon for epsilon, _ in points], "recall": recalls}


def format_transfer(matrix):
    """Formats a transfer matrix as Markdown: rows models attacked, columns models tried.

    Args:
        matrix: Dict, as `rocmr_keras.evaluation.transfer_matrix` returns it.

    Returns:
        String of several lines, recalls in percent.
    """
    names = list(matrix["names"])
    rows = zip(["none", *names], [matrix["clean_recall"], *matrix["recall"]])
    lines = ["| attacked | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for name, recalls in rows:
        cells = " | ".join(f"{100 * recall:.1f}" for recall in recalls)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def check_comparable(reports):
    """Refuses reports of other data or other attacks; seeds may differ.

    Args:
        reports: Dict from a label to a report.

    Raises:
        ValueError: If they are not of the same data and attacks.
    """
    described = {
        json.dumps([report["counts"], _budgets(report)], sort_keys=True)
        for report in reports.values()
    }
    if len(described) > 1:
        raise ValueError(
            "Only reports of the same data and the same attacks can be compared. Received: "
            f"{len(described)} different ones, labels {list(reports)}. Attack all models with "
            "the same settings, or compare fewer."
        )


def _budgets(report):
    curve = {"a curve": report["curve"]} if "curve" in report else {}
    runs = {**report["attacks"], **curve}
    return {name: without_seeds(run["budget"]) for name, run in runs.items()}


def without_seeds(budget):
    """Returns a budget as it is but for the seeds of its attacks."""
    return {
        name: without_seeds(value) if isinstance(value, dict) else value
        for name, value in budget.items()
        if name != "seed"
    }


def _table(groups, first, protocol):
    attacks = [
        name for name, run in first["attacks"].items() if run["budget"]["protocol"] == protocol
    ]
    columns = [
        (attack, direction)
        for attack in [None, *attacks]
        for direction in CROSS_MODAL
        if direction in _figures(first, attack)
    ]
    names = [f"{attack or 'clean'} {ARROWS[direction]}" for attack, direction in columns]
    lines = [
        f"\nprotocol: {protocol}\n",
        "| run | " + " | ".join(names) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for name, reports in groups.items():
        cells = [_cell(reports, attack, direction) for attack, direction in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(reports, attack, direction):
    runs, texts = [_figures(report, attack) for report in reports], []
    for k in (1, 5, 10):
        values = [100 * recall for recall in _recalls(runs, direction, k)]
        texts.append(f"{_mean(values):.1f}")
        if k == 1 and len(values) > 1:
            texts[-1] += f" (±{(max(values) - min(values)) / 2:.1f})"
    return " / ".join(texts)


def _figures(report, attack):
    return report["clean"] if attack is None else report["attacks"][attack]


def _recalls(runs, direction, k):
    return [run[direction][f"recall_at_{k}"] for run in runs]


def _mean(values):
    return sum(values) / len(values)
