"""How the figures were measured: stages of AutoAttack, audit, every budget and version."""

from rocmr_keras.reports.formatting import ARROWS
from rocmr_keras.reports.formatting import audit_line
from rocmr_keras.reports.formatting import changed_in_captions
from rocmr_keras.reports.formatting import duplicates_line
from rocmr_keras.reports.formatting import percent
from rocmr_keras.reports.html.element import bar
from rocmr_keras.reports.html.element import element
from rocmr_keras.reports.html.element import table


def stages(label, report):
    """Builds a table for each AutoAttack of a report, `None` if there is none."""
    runs = {name: run for name, run in report["attacks"].items() if run.get("stages")}
    if not runs:
        return None
    return element(
        "section",
        element("h2", _titled("Stages of AutoAttack", label)),
        element(
            "p",
            "How many queries met each attack, how many lost rank 1, 5 and 10 to it, and the share "
            "that it put out of the first ten.",
            class_="note",
        ),
        [_stages(name, run) for name, run in runs.items()],
    )


def _stages(name, run):
    head = ["attack", "direction", "queries", "lost", "share"]
    rows = []
    for stage in run["stages"]:
        share = stage["broken"] / stage["queries"] if stage["queries"] else None
        rows.append(
            [
                stage["attack"],
                ARROWS[stage["direction"]],
                f"{stage['queries']:,}",
                _lost(stage),
                element("span", percent(share), bar(share), class_="share"),
            ]
        )
    changed = changed_in_captions(run["budget"])
    return [
        element("h3", f"{name}, protocol {run['budget']['protocol']}"),
        element("p", f"On captions: {changed}.", class_="note") if changed else None,
        table(head, rows, class_="stages"),
    ]


def _lost(stage):
    """Reports of older versions have the first ten only."""
    counts = list(stage.get("lost", {}).values()) or [stage["broken"]]
    return " / ".join(f"{count:,}" for count in counts)


def audit_section(label, report):
    """Builds the verdict of the audit and the list of its checks, `None` without an audit."""
    if not report.get("audit"):
        return None
    checks = report["audit"]["checks"]
    return element(
        "section",
        element("h2", _titled("Audit for hidden gradients", label)),
        element("p", audit_line(report["audit"]), class_="note"),
        element("ul", [_check(*item) for item in checks.items()], class_="checks"),
    )


def _check(name, check):
    return element(
        "li",
        element("span", check["verdict"], class_=f"badge {check['verdict']}"),
        element("strong", name.replace("_", " ")),
        element("span", f"{check['figure']:.4f}", class_="figure"),
        element("p", check["explanation"]),
    )


def measured(reports):
    """Builds the section of budgets, seeds, versions and counts, folded away."""
    parts = []
    for label, report in reports.items():
        counts = report["counts"]
        budgets = [_settings(name, run["budget"]) for name, run in report["attacks"].items()]
        if report.get("audit"):
            budgets.append(_settings("audit", report["audit"]["budget"]))
        duplicates = duplicates_line(report)
        run = dict(report.get("run", {}))
        flags = run.pop("flags", None)
        parts += [
            element("h3", label) if label else None,
            element("p", f"{counts['images']:,} images, {counts['texts']:,} texts."),
            element("p", duplicates) if duplicates else None,
            element("div", budgets, class_="settings"),
            element("h3", "Run") if run or flags else None,
            element(
                "div",
                _settings("environment", run) if run else None,
                _settings("flags", flags) if flags else None,
                class_="settings",
            ),
        ]
    return element("details", element("summary", "How this was measured"), parts)


def _settings(name, values):
    body = element("tbody", _rows(values))
    return element("div", element("h4", name), element("table", body))


def _rows(values):
    """A row for each value; those of a dict follow below its name."""
    rows, nested = [], []
    for key, value in values.items():
        if isinstance(value, dict) and value:
            heading = element("th", key, colspan=2, scope="rowgroup", class_="group")
            nested += [element("tr", heading), *_rows(value)]
        else:
            cell = element("td", _write(key, value))
            rows.append(element("tr", element("th", key, scope="row"), cell))
    return rows + nested


def _write(key, value):
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(_write(key, item) for item in value)
    levels = 255 * value if isinstance(value, float) and "epsilon" in key else 0.0
    if levels and abs(levels - round(levels)) < 1e-6:
        return f"{round(levels)}/255 ({value:.4f})"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _titled(text, label):
    return f"{text}: {label}" if label else text
