"""Writes a report to disk and as a table."""

import json

from rocmr_keras.files import replacing
from rocmr_keras.reports.formatting import audit_line
from rocmr_keras.reports.formatting import changed_in_captions
from rocmr_keras.reports.formatting import duplicates_line

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

    Below them it says what AutoAttack could do to captions, by how much attacks on strings changed
    them, and the verdict of the audit where the report has one.

    Args:
        report: Dict, as `evaluate` returns it, perhaps with an `"audit"`.

    Returns:
        String of several lines.
    """
    counts = report["counts"]
    lines = [f"{counts['images']} images, {counts['texts']} texts; recall@1/5/10 in %"]
    lines += [line for line in [duplicates_line(report)] if line]
    protocols = dict.fromkeys(run["budget"]["protocol"] for run in report["attacks"].values())
    for protocol in protocols or ["query"]:
        rows = {"clean": report["clean"]}
        for name, run in report["attacks"].items():
            if run["budget"]["protocol"] == protocol:
                rows.update(_rows(name, run))
        lines += ["", *_table(f"protocol: {protocol}", rows)]
    changes = [line for name, run in report["attacks"].items() for line in _changes(name, run)]
    lines += ["", *changes] if changes else []
    if report.get("audit"):
        lines += ["", audit_line(report["audit"])]
    return "\n".join(lines)


def _changes(name, run):
    """Lines on what was done to captions, as far as a name does not say it."""
    changed = changed_in_captions(run["budget"])
    if changed:
        yield f"captions under {name}: {changed}"
    for direction, changes in run.get("text_changes", {}).items():
        if changes["changed_share"]:
            told = (
                f"{changes[kind]['mean']:.1f} {kind} on average and {changes[kind]['most']} at most"
                for kind in ("words", "characters")
            )
            where = "" if direction == "text_to_image" else f" ({_DIRECTIONS[direction]})"
            yield f"changed by {name}{where}: {', '.join(told)}"


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
