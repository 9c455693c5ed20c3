"""Recall against the budget, where several attacks differ in nothing else."""

import json

from rocmr_keras.reports.formatting import ARROWS
from rocmr_keras.reports.html.chart import chart
from rocmr_keras.reports.html.element import element

_STRENGTHS = {
    "epsilon": "epsilon",
    "num_substitutions": "words or tokens replaced",
    "num_edits": "characters edited",
}


def curves(reports, given=None):
    """Builds the charts, `None` if there is nothing to draw.

    Args:
        reports: Dict from a label, empty for a single model, to a report.
        given: Dict from a label to a curve of `epsilon_curve`, or `None`.
    """
    charts = [
        _chart(reports, group, direction)
        for group in find_budgets(next(iter(reports.values())))
        for direction in ARROWS
        if all(
            direction in report["attacks"].get(name, {})
            for report in reports.values()
            for _, name in group["points"]
        )
    ]
    if given:
        lines = [
            (label, [255 * epsilon for epsilon in curve["epsilon"]], list(curve["recall"]))
            for label, curve in given.items()
        ]
        charts.append(chart("each budget warm-started from the last", lines, "epsilon (n/255)"))
    if not charts:
        return None
    return element(
        "section",
        element("h2", "Recall against the budget"),
        element("div", charts, class_="charts"),
    )


def find_budgets(report):
    """Returns the attacks that differ in one budget alone.

    Args:
        report: Dict, as `evaluate` returns it.

    Returns:
        List of dicts of `protocol`, `strength` (the name of the budget), `in_255`, whether it
        is in units of [0, 1], and `points`, a list of `(budget, name)` of two or more.
    """
    groups = {}
    for name, run in report["attacks"].items():
        for side in ("image_attack", "text_attack"):
            attack = run["budget"].get(side) or {}
            for strength in (key for key in _STRENGTHS if key in attack):
                # A step size follows epsilon.
                rest = {k: v for k, v in attack.items() if k not in (strength, "step_size")}
                key = json.dumps({**run["budget"], side: [strength, rest]}, sort_keys=True)
                group = groups.setdefault(
                    key,
                    {
                        "protocol": run["budget"]["protocol"],
                        "attack": attack["attack"],
                        "strength": strength,
                        "in_255": attack.get("norm") == "linf"
                        and list(attack.get("value_range", ())) == [0.0, 1.0],
                        "points": [],
                    },
                )
                group["points"].append((attack[strength], name))
    return [
        {**group, "points": sorted(group["points"])}
        for group in groups.values()
        if len({value for value, _ in group["points"]}) > 1
    ]


def _chart(reports, group, direction):
    scale = 255 if group["in_255"] else 1
    budgets = [0.0, *(scale * value for value, _ in group["points"])]
    lines = []
    for label, report in reports.items():
        runs = [report["attacks"][name] for _, name in group["points"]]
        clean = runs[0].get("clean", report["clean"])
        # Of several models the first place alone, or no line could be told from another.
        for k in (1,) if label else (10, 5, 1):
            values = [run[direction][f"recall_at_{k}"] for run in (clean, *runs)]
            lines.append((label or f"R@{k}", budgets, values))
    what = " recall@1" if next(iter(reports)) else ""
    title = f"{ARROWS[direction]}{what} under {group['attack']}, protocol {group['protocol']}"
    unit = " (n/255)" if group["in_255"] else ""
    return chart(title, lines, f"{_STRENGTHS[group['strength']]}{unit}")
