"""The verdict: what is left at rank 1, and what to know about it."""

from rocmr_keras.reports.cautions import cautions
from rocmr_keras.reports.conclusion import strongest
from rocmr_keras.reports.formatting import ARROWS
from rocmr_keras.reports.formatting import percent
from rocmr_keras.reports.html.element import bar
from rocmr_keras.reports.html.element import element

_KEEPING = {
    "query": "Attacked queries keep",
    "gallery": "In an attacked gallery queries keep",
    "inserted": "Beside inserted items queries keep",
    "both": "With both sides attacked, queries keep",
}


def top_of_page(reports):
    """Builds the top of the page: for each model its verdict, as tiles too, and the cautions.

    Args:
        reports: Dict from a label, empty for a single model, to a report.
    """
    return [_model(label, report) for label, report in reports.items()]


def _model(label, report):
    tiles = [_tile(entry) for entry in strongest(report)]
    warnings = [element("li", text) for text in cautions(report)]
    return element(
        "section",
        element("h2", label) if label else None,
        element("p", _unbroken(in_two_sentences(report)), class_="verdict"),
        element("div", tiles, class_="tiles") if tiles else None,
        element("ul", warnings, class_="cautions", aria_label="cautions") if warnings else None,
    )


def in_two_sentences(report):
    """Says how much recall@1 is kept: under the first protocol, and under the worst other one."""
    by_protocol = {}
    for entry in strongest(report):
        by_protocol.setdefault(entry["protocol"], []).append(entry)
    if not by_protocol:
        return "No attack was run. The figures below are clean recall."
    first, *others = by_protocol.items()
    worst = sorted(others, key=lambda item: min(entry["kept"] or 0.0 for entry in item[1]))
    return " ".join(_sentence(*item) for item in (first, *worst[:1]))


def _sentence(protocol, entries):
    beginning = _KEEPING.get(protocol, f"Under protocol {protocol} queries keep")
    parts = [f"{_share(entry['kept'])} {ARROWS[entry['direction']]}" for entry in entries]
    return f"{beginning} {' and '.join(parts)} of their recall@1."


def _share(kept):
    return "nothing, as before," if kept is None else percent(kept)


def _unbroken(text):
    """Keeps the sign of a percentage on the line of its number."""
    return text.replace(" %", "\u00a0%")


def _tile(entry):
    kept = "" if entry["kept"] is None else f", {percent(entry['kept'])} kept"
    return element(
        "div",
        element(
            "div",
            element("strong", ARROWS[entry["direction"]].replace("→", " → ")),
            element("span", f"protocol {entry['protocol']}", class_="tag"),
            class_="tile-head",
        ),
        element(
            "div",
            element("span", percent(entry["clean"]), class_="before"),
            element("span", " → ", class_="arrow"),
            element("span", percent(entry["attacked"]), class_="after"),
            class_="big",
        ),
        bar(entry["kept"]),
        element("p", f"recall@1, clean and under {entry['attack']}{kept}"),
        class_="tile",
    )
