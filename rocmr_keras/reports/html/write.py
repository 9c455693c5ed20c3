from rocmr_keras.files import replacing
from rocmr_keras.reports.comparison import check_comparable
from rocmr_keras.reports.html.curves import curves as draw_curves
from rocmr_keras.reports.html.element import element
from rocmr_keras.reports.html.element import to_html
from rocmr_keras.reports.html.failure_cards import failure_cards
from rocmr_keras.reports.html.measured import audit_section
from rocmr_keras.reports.html.measured import measured
from rocmr_keras.reports.html.measured import stages
from rocmr_keras.reports.html.recalls import all_figures
from rocmr_keras.reports.html.recalls import recalls
from rocmr_keras.reports.html.style import STYLE
from rocmr_keras.reports.html.top_of_page import top_of_page
from rocmr_keras.reports.pictures.png import check_path


def write_html_report(path, report, failures=None, curves=None, title="Robust retrieval"):
    """Writes a report as one HTML file that needs nothing else: no script, no network.

    The verdict comes first, then a table of recall for each protocol, charts where attacks differ
    in their budget alone, AutoAttack's stages and the audit where the report has them, the worst
    failures as pictures, and, folded away, all other figures and how they were measured.

    Args:
        path: String or path that ends in `.html`. The folder is made, and a file of that name is
            replaced, once the new one is whole.
        report: Dict, as `evaluate` or `auto_attack` returns it, perhaps with an `"audit"` and a
            `"run"`, a dict of plain values about the run; or a dict from a label to such a
            report, of models that met the same attacks on the same data.
        failures: Dict from the name of an attack to what `worst_failures` or
            `auto_attack_failures` returns. Its pictures need Pillow. Defaults to `None`.
        curves: Dict from a label to what `epsilon_curve` returns. Defaults to `None`.
        title: String. Defaults to `"Robust retrieval"`.

    Raises:
        ValueError: If the path has another ending, `report` is none, several reports are not of
            the same attacks and data, or a failure is not as `worst_failures` returns it.
        ImportError: If there are failures to show and Pillow is missing.

    Example:

    ```python
    report = evaluate(model, split, {"pgd20 8/255": PGD(8 / 255, num_steps=20)})
    write_html_report("report.html", report)
    ```
    """
    path, reports = check_path(path, ".html"), _check_reports(report)
    first = next(iter(reports.values()))
    counts = f"{first['counts']['images']:,} images, {first['counts']['texts']:,} texts"
    backend = first.get("run", {}).get("backend")
    main = element(
        "main",
        element(
            "header",
            element("h1", title),
            element("p", f"{counts}{f', {backend} backend' if backend else ''}", class_="sub"),
        ),
        top_of_page(reports),
        recalls(reports),
        draw_curves(reports, curves),
        [stages(label, entry) for label, entry in reports.items()],
        [audit_section(label, entry) for label, entry in reports.items()],
        failure_cards(failures),
        all_figures(reports),
        measured(reports),
    )
    page = to_html(_page(title, main))
    with replacing(path) as temporary:
        temporary.write_bytes(page)


def _page(title, main):
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", STYLE),
    )
    return element("html", head, element("body", main), lang="en")


def _check_reports(report):
    if _is_report(report):
        return {"": report}
    if not isinstance(report, dict) or not report or not all(map(_is_report, report.values())):
        raise ValueError(
            "`report` must have counts, clean figures and attacks, or be a dict of such. Received: "
            f"{type(report).__name__} {report!r:.60}. Pass what `evaluate` returns."
        )
    check_comparable(report)
    return {str(label): entry for label, entry in report.items()}


def _is_report(report):
    keys = ("counts", "clean", "attacks")
    return isinstance(report, dict) and all(isinstance(report.get(key), dict) for key in keys)
