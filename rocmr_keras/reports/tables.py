"""Writes a report to disk and as a table."""

import json

from rocmr_keras.files import replacing

_DIRECTIONS = {
    "image_to_text": "image->text",
    "text_to_image": "text->image",
    "image_to_image": "image->image",
    "text_to_text": "text->text",
}
_ALWAYS = 2


def write_report(path, report):
    """Writes a report as JSON; a file of that name is replaced once the new one is whole.

    Args:
        path: Path of the file.
        report: Dict of plain values, as `evaluate` returns it.
    """
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", "utf-8")


def format_report(report):
    """Formats a report as text: a table for each protocol, recalls in percent.

    Args:
        report: Dict, as `evaluate` returns it.

    Returns:
        String of several lines.
    """
    counts = report["counts"]
    lines = [f"{counts['images']} images, {counts['texts']} texts; recall@1/5/10 in %"]
    protocols = dict.fromkeys(run["budget"]["protocol"] for run in report["attacks"].values())
    for protocol in protocols or ["query"]:
        rows = {"clean": report["clean"]}
        for name, run in report["attacks"].items():
            if run["budget"]["protocol"] == protocol:
                rows.update(_rows(name, run))
        lines += ["", *_table(f"protocol: {protocol}", rows)]
    return "\n".join(lines)


def merge_reports(reports, attacks=None):
    """Formats several models' reports as one table, all of one protocol.

    Args:
        reports: Dict from a label, such as the name of a model, to a report of `evaluate`.
        attacks: List of names of attacks, which every report must have; by default all
            that the first one has. Defaults to `None`.

    Returns:
        String of several lines, recalls in percent.

    Raises:
        ValueError: If the attacks are of different protocols or budgets, the reports of
            different numbers of images and texts, or an attack is missing.
    """
    first = next(iter(reports.values()))
    attacks = list(first["attacks"]) if attacks is None else attacks
    _check_mergeable(reports, attacks)
    rows = {f"{label}, clean": report["clean"] for label, report in reports.items()}
    for name in attacks:
        for label, report in reports.items():
            rows.update(_rows(f"{label}, {name}", report["attacks"][name]))
    counts = first["counts"]
    head = f"{counts['images']} images, {counts['texts']} texts; recall@1/5/10 in %"
    protocol = first["attacks"][attacks[0]]["budget"]["protocol"] if attacks else "query"
    return "\n".join([head, "", *_table(f"protocol: {protocol}", rows)])


def _check_mergeable(reports, attacks):
    for label, report in reports.items():
        missing = [name for name in attacks if name not in report["attacks"]]
        if missing:
            raise ValueError(
                f"Every report must have every attack. Received: {label!r} without {missing}. "
                "Evaluate the models with the same attacks, or choose `attacks`."
            )
    runs = [report["attacks"][name] for report in reports.values() for name in attacks]
    protocols = sorted({run["budget"]["protocol"] for run in runs})
    if len(protocols) > 1:
        raise ValueError(
            "Figures of different protocols never belong in one table. Received: "
            f"protocols {protocols}. Choose `attacks` of one protocol."
        )
    for name in attacks:
        if len({json.dumps(report["attacks"][name]["budget"]) for report in reports.values()}) > 1:
            raise ValueError(
                "An attack must have the same budget in all reports. Received: different "
                f"budgets of {name!r}. Evaluate the models with the same attacks."
            )
    counts = [report["counts"] for report in reports.values()]
    if any(count != counts[0] for count in counts):
        raise ValueError(
            f"The reports must be of the same data. Received: counts {counts}. "
            "Evaluate the models on the same split."
        )


def _rows(name, run):
    """One row, and the clean figures of the same queries where the protocol splits them."""
    return {f"{name}, before": run["clean"], name: run} if "clean" in run else {name: run}


def _table(title, rows):
    width = max(len(name) for name in [title, *rows])
    shown = [
        direction
        for place, direction in enumerate(_DIRECTIONS)
        if place < _ALWAYS or any(direction in figures for figures in rows.values())
    ]
    head = f"{title:<{width}}" + "".join(f"  {_DIRECTIONS[name]:>18}" for name in shown)
    lines = [head, "-" * len(head)]
    for name, figures in rows.items():
        cells = [_cell(figures.get(direction)) for direction in shown]
        lines.append(f"{name:<{width}}" + "".join(f"  {cell:>18}" for cell in cells))
    return lines


def _cell(figures):
    if figures is None:
        return "-"
    recalls = [figures[f"recall_at_{k}"] for k in (1, 5, 10)]
    return " / ".join(f"{100 * recall:.1f}" for recall in recalls)
