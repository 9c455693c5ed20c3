import collections
import html.parser
import os

import numpy as np
import pytest

from rocmr_keras.reports import write_html_report
from rocmr_keras.reports.html.curves import find_budgets
from rocmr_keras.reports.html.element import element
from rocmr_keras.reports.html.element import to_html

VOID = {"meta", "img", "br", "hr", "input", "link"}
EVIL = "<script>alert('x')</script> & \"q\" \x00 \ud800"


class Page(html.parser.HTMLParser):
    """Checks that elements close in order, and keeps tables, texts and attributes."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.values, self.tables = [], collections.Counter(), [], []
        self.texts = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.values += [(tag, *attribute) for attribute in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data

    def with_row(self, name):
        return [table for table in self.tables if any(row[0] == name for row in table)]


@pytest.fixture
def read(tmp_path):
    def read(*args, **settings):
        path = tmp_path / "new" / "report.html"
        write_html_report(path, *args, **settings)
        assert os.listdir(path.parent) == ["report.html"]
        return Page(path.read_text("utf-8"))

    return read


def image(level=0.5):
    return np.full((4, 4, 3), level, "float32")


def failures(caption="a red apple"):
    images = {
        "rank": (1, 1234),
        "query": image(),
        "adversarial_query": image(0.52),
        "before": caption,
        "after": "a green pear",
    }
    texts = {
        "rank": (1, 7),
        "query": caption,
        "adversarial_query": caption.replace("apple", "oil"),
        "before": image(0.2),
        "after": image(0.9),
    }
    group = {"right": 300, "tried": 256, "fallen": 31}
    return {
        "pgd": {"image_to_text": {**group, "examples": [images]}},
        "words": {"text_to_image": {**group, "tried": 300, "examples": [texts]}},
    }


def test_a_table_for_each_protocol_with_every_attack_and_its_figures(report, read):
    page = read(report)
    recall = [table for table in page.tables if table[1][:2] == ["R@1", "R@5"]]
    assert len(recall) == 2
    names = [[row[0] for row in table[2:]] for table in recall]
    # Noise is no attack, and stands apart.
    apart = "Random changes, to compare with"
    assert names == [["clean", "pgd", "words", apart, "noise"], ["clean", "strong"]]
    rows = {row[0]: row for row in recall[0]}
    # A seventh of the images is wrong when clean, three under attack: two thirds are kept.
    assert rows["clean"][2] == "85.7" and rows["pgd"][2] == "57.1"
    assert rows["pgd"][5] == "66.7 %" and rows["pgd"][6:] == ["–"]
    assert rows["words"][1] == "–" and rows["words"][3] == "0.0"
    text = " ".join(page.texts).replace("\u00a0", " ")
    assert "Attacked queries keep 66.7 % image→text and 0.0 % text→image of their recall@1." in text
    assert "With both sides attacked, queries keep 0.0 % image→text" in text
    assert "not AutoAttack" in text


def test_every_budget_seed_version_and_count_is_there(report, read):
    run = {"backend": "abacus", "versions": {"keras": "9.8.7"}, "flags": {"seed": 31}}
    page = read({**report, "run": run})
    cells = {tuple(row) for table in page.tables for row in table}
    assert ("epsilon", "51/255 (0.2000)") in cells
    assert ("num_steps", "3") in cells
    assert ("num_substitutions", "1") in cells
    assert ("seed", "0") in cells
    assert ("keras", "9.8.7") in cells and ("seed", "31") in cells
    assert "7 images, 10 texts, abacus backend" in page.texts
    (figures,) = [table for table in page.with_row("pgd") if "queries" in table[0]]
    row = next(row for row in figures if row[0] == "pgd")
    assert row[1:3] == ["image→text", "7"] and row[6:8] == ["28.6 %", "33.3 %"]


def test_nothing_is_fetched_and_no_text_becomes_markup(report, read):
    evil = {
        **report,
        "attacks": {EVIL: report["attacks"]["pgd"]},
        "run": {"flags": {EVIL: EVIL}},
        "audit": {
            "verdict": "masked",
            "reason": EVIL,
            "budget": {"seed": 0},
            "checks": {EVIL: {"verdict": "fail", "figure": 0.5, "explanation": EVIL}},
        },
    }
    page = read({EVIL: evil}, failures(f"{EVIL} apple"), title=EVIL)
    assert page.tags["script"] == page.tags["link"] == page.tags["iframe"] == 0
    shown = EVIL.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")
    assert sum(shown in text for text in page.texts) > 8
    for tag, name, value in page.values:
        assert not name.startswith("on"), (tag, name)
        if name in ("src", "href", "srcset", "data", "action"):
            assert value.startswith("data:image/png;base64,"), (tag, value)
    style = "".join(page.texts[: page.texts.index(shown) + 2])
    assert "@import" not in style and "url(" not in style


def test_failures_are_pictures_with_the_changed_words_marked(report, read):
    page = read(report, failures())
    pictures = [value for tag, name, value in page.values if (tag, name) == ("img", "alt")]
    # Twenty is the largest round factor that keeps 0.02 below a half.
    assert pictures[:2] == ["original", "attacked"]
    assert pictures[2:] == ["change × 20", "came first", "comes first now"]
    assert page.tags["del"] == page.tags["ins"] == 1
    assert page.texts[page.texts.index("oil") - 1].strip() == "a red"
    assert "1,234" in page.texts and "a green pear" in page.texts
    assert "31 of 256 attacked queries lost rank 1 (drawn from 300 that had it)." in page.texts
    assert "31 of 300 attacked queries lost rank 1." in page.texts


def test_a_failure_may_name_its_own_attack(report, read):
    given = failures()
    before = read(report, given).texts.count("attack")
    given["pgd"]["image_to_text"]["examples"][0]["attack"] = "APGD, <margin>"
    texts = read(report, given).texts
    assert texts[texts.index("APGD, <margin>") - 1] == "attack"
    assert texts.count("attack") == before + 1


def test_attacks_that_differ_in_one_budget_become_a_chart(report, read):
    assert find_budgets(report) == [] and read(report).tags["svg"] == 0
    pgd = report["attacks"]["pgd"]
    attack = {**pgd["budget"]["image_attack"], "epsilon": 0.1, "step_size": 0.01}
    weaker = {**pgd, "budget": {**pgd["budget"], "image_attack": attack}}
    report = {**report, "attacks": {**report["attacks"], "weaker": weaker}}
    (found,) = find_budgets(report)
    assert found["points"] == [(0.1, "weaker"), (0.2, "pgd")] and found["in_255"]
    page = read(report)
    assert page.tags["svg"] == 1 and page.tags["polyline"] == 3 and page.tags["circle"] == 9
    assert "R@1: 57.1 % at 51" in page.texts and "epsilon (n/255)" in page.texts
    other = {**weaker, "budget": {**weaker["budget"], "objective": "margin"}}
    assert find_budgets({**report, "attacks": {"pgd": pgd, "other": other}}) == []


def test_a_curve_may_be_given(report, read):
    curve = {"epsilon": [0.0, 4 / 255], "recall": [0.5, 0.25]}
    page = read(report, curves={"mine": curve})
    assert page.tags["svg"] == 1 and "mine: 25.0 % at 4" in page.texts


def test_stages_of_auto_attack_and_audit(report, read):
    stage = {"attack": "APGD, margin", "direction": "image_to_text", "queries": 8, "broken": 2}
    lost = {"lost": {"1": 4, "5": 3, "10": 2}}
    run = {
        **report["attacks"]["pgd"],
        "stages": [stage, {**stage, "queries": 0, "broken": 0}, {**stage, **lost}],
    }
    check = {"verdict": "caution", "figure": 0.25, "explanation": "Because."}
    audit = {"checks": {"more_steps": check}, "budget": {"num_queries": 77}}
    audit |= {"verdict": "caution", "reason": "more_steps. Because."}
    page = read({**report, "attacks": {"auto query": run}, "audit": audit})
    (stages,) = page.with_row("APGD, margin")
    assert stages[1:] == [
        ["APGD, margin", "image→text", "8", "2", "25.0 %"],
        ["APGD, margin", "image→text", "0", "0", "–"],
        ["APGD, margin", "image→text", "8", "4 / 3 / 2", "25.0 %"],
    ]
    assert "more steps" in page.texts and "0.2500" in page.texts
    assert "audit: caution. more steps. Because." in page.texts
    assert ("span", "class", "badge caution") in page.values
    assert page.with_row("num_queries")[0][-1] != [] and "77" in page.texts


def test_hubs_have_their_own_clean_row(report, read):
    hub = {"hub_share": 0.5, "skewness_before": 1.0, "skewness_after": 2.5}
    run = {**report["attacks"]["pgd"], "clean": report["clean"]}
    run["hubs"] = {"image_to_text": hub}
    page = read({**report, "attacks": {"hub": run}})
    names = [row[0] for row in page.with_row("hub, before")[0][2:]]
    assert names == ["clean", "hub, before", "hub"]
    assert ["hub", "image→text", "50.0 %", "1.00", "2.50"] in page.with_row("hub")[-1]


def test_several_models_on_one_page(report, read):
    page = read({"a": report, "b": report})
    (table, _) = [table for table in page.tables if table[1][:2] == ["R@1", "R@5"]]
    names = [row[0] for row in table[2:]]
    assert names == [
        *(f"{name}{label}" for name in ("clean", "pgd", "words") for label in "ab"),
        "Random changes, to compare with",
        "noisea",
        "noiseb",
    ]
    other = {**report, "attacks": {"pgd": report["attacks"]["pgd"]}}
    with pytest.raises(ValueError, match=r"Received: 2 different ones, labels .'a'"):
        read({"a": report, "b": other})


def test_a_report_without_attacks(report, read):
    page = read({**report, "attacks": {}})
    assert page.tables[0][2][:3] == ["clean", "image→text", "85.7"]
    assert "no attack was run, so nothing is known of robustness" in page.texts


@pytest.mark.parametrize(
    "path, given, message",
    [
        ("report.txt", {}, "`path` must end in '.html'. Received: path="),
        ("report.html", {}, "`report` must have counts, .*Received: dict {}"),
        ("report.html", {"a": {"clean": {}}}, "`report` must have counts"),
    ],
)
def test_what_is_no_report(tmp_path, path, given, message):
    with pytest.raises(ValueError, match=message):
        write_html_report(tmp_path / path, given)
    assert not os.listdir(tmp_path)


def test_a_wrong_failure_leaves_the_old_file_alone(tmp_path, report):
    path = tmp_path / "report.html"
    path.write_text("old")
    wrong = failures()
    wrong["pgd"]["image_to_text"]["examples"][0]["rank"] = (1, 2.5)
    with pytest.raises(ValueError, match=r"\['rank'\]` must be a positive integer. Received: 2.5"):
        write_html_report(path, report, wrong)
    assert os.listdir(tmp_path) == ["report.html"] and path.read_text() == "old"


def test_elements_escape_and_keep_the_order_of_texts():
    node = element("p", "a < b", [element("b", "&"), " c"], None, title='"', hidden=None)
    assert to_html(node) == b'<!DOCTYPE html>\n<p title="&quot;">a &lt; b<b>&amp;</b> c</p>\n'
