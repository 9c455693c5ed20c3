"""Writes a report to disk and as a table."""

import json
import os

_DIRECTIONS = {"image_to_text": "image->text", "text_to_image": "text->image"}


def write_report(path, report):
    """Writes a report as JSON, to a temporary name first.

    Args:
        path: Path of the file.
        report: Dict of plain values, as `evaluate` returns it.
    """
    path = os.fspath(path)
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    temporary = f"{path}.writing"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(report, file, indent=2, allow_nan=False)
        file.write("\n")
    os.replace(temporary, path)


def format_report(report):
    """Formats a report as text: a table for each protocol, recalls in percent.

    Args:
        report: Dict, as `evaluate` returns it.

    Returns:
        String of several lines.
    """
    counts = report["counts"]
    lines = [f"{counts['images']} images, {counts['texts']} texts; recall@1/5/10 in %"]
    protocols = sorted({run["budget"]["protocol"] for run in report["attacks"].values()})
    for protocol in reversed(protocols or ["query"]):
        rows = {"clean": report["clean"]}
        for name, run in report["attacks"].items():
            if run["budget"]["protocol"] == protocol:
                rows[name] = run
        lines += ["", *_table(f"protocol: {protocol}", rows)]
    return "\n".join(lines)


def _table(title, rows):
    width = max(len(name) for name in [title, *rows])
    head = f"{title:<{width}}" + "".join(f"  {name:>18}" for name in _DIRECTIONS.values())
    lines = [head, "-" * len(head)]
    for name, figures in rows.items():
        cells = [_cell(figures.get(direction)) for direction in _DIRECTIONS]
        lines.append(f"{name:<{width}}" + "".join(f"  {cell:>18}" for cell in cells))
    return lines


def _cell(figures):
    if figures is None:
        return "-"
    recalls = [figures[f"recall_at_{k}"] for k in (1, 5, 10)]
    return " / ".join(f"{100 * recall:.1f}" for recall in recalls)
