"""Recall, clean and attacked: a table for each protocol, never one for two."""

from rocmr_keras.reports.cautions import is_random
from rocmr_keras.reports.conclusion import clean_figures
from rocmr_keras.reports.formatting import ARROWS
from rocmr_keras.reports.formatting import percent
from rocmr_keras.reports.html.element import bar
from rocmr_keras.reports.html.element import element
from rocmr_keras.reports.html.element import table

WHO_IS_ATTACKED = {
    "query": "Only the query is attacked; the gallery that it searches is clean.",
    "gallery": "The right items of each query are attacked; it and all wrong items are clean.",
    "inserted": "Adversarial items are added to a clean gallery; clean queries search it.",
    "both": "Attacked queries search an attacked gallery.",
}
_COLUMNS = ("R@1", "R@5", "R@10", "kept")


def protocols_of(reports):
    """Returns the names of the protocols, in the order of the first attack of each."""
    runs = [run for report in reports.values() for run in report["attacks"].values()]
    return list(dict.fromkeys(run["budget"]["protocol"] for run in runs))


def recalls(reports):
    """Builds the tables.

    Args:
        reports: Dict from a label, empty for a single model, to a report.
    """
    sections = [_section(reports, protocol) for protocol in protocols_of(reports)]
    return sections or [element("section", element("h2", "Recall"), _table(_rows(reports, None)))]


def _section(reports, protocol):
    return element(
        "section",
        element("h2", "Protocol ", element("em", protocol)),
        element(
            "p",
            WHO_IS_ATTACKED.get(protocol, ""),
            " Recall in %; kept is the share of the clean recall@1.",
            class_="note",
        ),
        _table(_rows(reports, protocol)),
    )


def _rows(reports, protocol):
    """Tuples of name, label, figures, and the clean figures (`None` in a clean row)."""
    rows, attacks = [], {}
    for label, report in reports.items():
        rows.append(("clean", label, report["clean"], None))
        for name, run in report["attacks"].items():
            if run["budget"]["protocol"] == protocol:
                attacks.setdefault(name, []).append((label, report, run))
    # Random changes last: they are there to compare with, and are no attack.
    for name, runs in sorted(attacks.items(), key=lambda item: _is_noise(item[1][0][2])):
        for label, report, run in runs:
            if "clean" in run:
                rows.append((f"{name}, before", label, run["clean"], None))
            rows.append((name, label, run, clean_figures(report, name)))
    return rows


def _is_noise(figures):
    """Also for the clean row, which has no budget."""
    return "budget" in figures and is_random(figures["budget"])


def _table(rows):
    shown = [
        direction for direction in ARROWS if any(direction in figures for _, _, figures, _ in rows)
    ]
    top = [
        element("th", ARROWS[name].replace("→", " → "), colspan=4, scope="colgroup")
        for name in shown
    ]
    below = [element("th", text, scope="col") for _ in shown for text in _COLUMNS]
    head = element(
        "thead",
        element("tr", element("th", "attack", rowspan=2, scope="col"), top),
        element("tr", below),
    )
    lines = [_row(row, shown) for row in rows]
    noise = [place for place, row in enumerate(rows) if _is_noise(row[2])]
    if noise:
        heading = element("th", "Random changes, to compare with", colspan=1 + 4 * len(shown))
        lines.insert(noise[0], element("tr", heading, class_="apart"))
    body = element("tbody", lines)
    return element("div", element("table", head, body, class_="recall"), class_="scroll")


def _row(row, shown):
    name, label, figures, clean = row
    small = element("small", label) if label else None
    cells = [_cells(direction, figures.get(direction), clean) for direction in shown]
    heading = element("th", name, small, scope="row")
    return element("tr", heading, cells, class_="clean" if clean is None else None)


def _cells(direction, figures, clean):
    if figures is None:
        return element("td", "–", colspan=4, class_="none")
    values = [f"{100 * figures[f'recall_at_{k}']:.1f}" for k in (1, 5, 10)]
    kept = None
    if clean is not None and clean[direction]["recall_at_1"]:
        kept = figures["recall_at_1"] / clean[direction]["recall_at_1"]
    return [
        # Seen on narrow screens only, where the columns have no heads.
        element("td", ARROWS[direction], class_="which", aria_hidden="true"),
        [element("td", text, data_label=name) for text, name in zip(values, _COLUMNS)],
        element("td", percent(kept) if clean else "", bar(kept), data_label="kept", class_="kept"),
    ]


def all_figures(reports):
    """Builds the tables of every other figure, folded away."""
    head = ["attack", "direction", "queries", "median rank", "mean rank", "mAP@R", "drop of R@1"]
    head += ["success rate", "stalled"]
    tables = [
        [element("h3", f"Protocol {protocol}"), table(head, _figures(reports, protocol))]
        for protocol in protocols_of(reports) or [None]
    ]
    return element(
        "details",
        element("summary", "All other figures"),
        element(
            "p",
            "The success rate is the share of the queries at rank 1 when clean that are not under "
            "attack; stalled, the share of gradients that were zero or not finite.",
            class_="note",
        ),
        tables,
        _hubs(reports),
    )


def _figures(reports, protocol):
    lines = []
    for name, label, figures, _ in _rows(reports, protocol):
        for direction in (key for key in ARROWS if key in figures):
            run = figures[direction]
            stalled = figures.get("stalled_share") or {}
            side = f"{direction.split('_to_')[0]}s"
            lines.append(
                [
                    f"{name} {label}".strip(),
                    ARROWS[direction],
                    f"{run['count']:,}",
                    f"{run['median_rank']:,.1f}",
                    f"{run['mean_rank']:,.1f}",
                    percent(run.get("map_at_r")),
                    percent(figures.get("recall_drop", {}).get(direction)),
                    percent(figures.get("attack_success_rate", {}).get(direction)),
                    percent(stalled.get(direction, stalled.get(side))),
                ]
            )
    return lines


def _hubs(reports):
    rows = [
        [
            f"{name} {label}".strip(),
            ARROWS[direction],
            percent(hub["hub_share"]),
            f"{hub['skewness_before']:.2f}",
            f"{hub['skewness_after']:.2f}",
        ]
        for label, report in reports.items()
        for name, run in report["attacks"].items()
        for direction, hub in run.get("hubs", {}).items()
    ]
    head = ["hubs", "direction", "first for", "skewness before", "after"]
    return table(head, rows) if rows else None
