import json

import pytest

from rocmr_keras.reports import format_report
from rocmr_keras.reports import write_report


def test_round_trip(report, tmp_path):
    path = tmp_path / "run" / "report.json"
    write_report(path, report)
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(json.dumps(report))
    assert [file.name for file in path.parent.iterdir()] == ["report.json"]


def test_a_figure_that_is_no_number_is_refused_and_the_old_file_kept(tmp_path):
    path = tmp_path / "report.json"
    write_report(path, {"recall": 0.5})
    with pytest.raises(ValueError, match="[Oo]ut of range float"):
        write_report(path, {"recall": float("nan")})
    assert json.loads(path.read_text(encoding="utf-8")) == {"recall": 0.5}
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]


def test_the_table_has_each_attack_once(report):
    lines = format_report(report).splitlines()
    assert lines[0].startswith("7 images, 10 texts")
    for name in report["attacks"]:
        assert sum(line.startswith(f"{name} ") for line in lines) == 1, name
    # One table for each protocol, each beginning with the clean row.
    assert sum(line.startswith("protocol: query") for line in lines) == 1
    assert sum(line.startswith("protocol: both") for line in lines) == 1
    assert sum(line.startswith("clean ") for line in lines) == 2


def test_below_the_tables_stands_the_verdict_of_the_audit(report):
    audit = {"verdict": "masked", "reason": "zero_gradients. All of them.", "checks": {}}
    text = format_report({**report, "audit": audit})
    assert text == f"{format_report(report)}\n\naudit: masked. zero gradients. All of them."
    old = {"passed": False, "checks": {}}
    assert format_report({**report, "audit": old}).endswith("earlier version. Run it again.")


def test_the_table_has_percents_and_a_dash_where_nothing_was_measured(report):
    lines = {line.split()[0]: line for line in format_report(report).splitlines() if line}
    assert "57.1 / " in lines["pgd"] and lines["pgd"].rstrip().endswith("-")
    assert "0.0 / " in lines["words"] and lines["words"].split()[1] == "-"


def test_how_far_captions_moved_is_told_below(report):
    changes = {
        "changed_share": 0.5,
        "words": {"mean": 1.25, "most": 2},
        "characters": {"mean": 3.0, "most": 9},
    }
    run = {**report["attacks"]["words"], "text_changes": {"text_to_image": changes}}
    # Tokens are no strings.
    assert "text_changes" not in report["attacks"]["words"]
    text = format_report({**report, "attacks": {"one edit": run}})
    assert text.endswith(
        "\n\nchanged by one edit: 1.2 words on average and 2 at most, "
        "3.0 characters on average and 9 at most"
    )
    nothing = dict.fromkeys(("words", "characters"), {"mean": None, "most": None})
    run["text_changes"] = {"text_to_image": {"changed_share": 0.0, **nothing}}
    assert "changed by" not in format_report({**report, "attacks": {"one edit": run}})


def test_a_report_without_attacks(report):
    text = format_report({**report, "attacks": {}})
    assert "protocol: query" in text and "85.7 / " in text


def test_columns_within_a_modality_only_where_measured(report):
    assert "image->image" not in format_report(report)
    clean = {**report["clean"], "image_to_image": report["clean"]["image_to_text"]}
    lines = format_report({**report, "clean": clean}).splitlines()
    assert lines[2].split()[-1] == "image->image"
    assert lines[4].count("85.7 / ") == 2


def test_clean_figures_of_a_share_of_the_queries_stand_before(report):
    run = {**report["attacks"]["pgd"], "clean": report["clean"]}
    lines = format_report({**report, "attacks": {"hub": run}}).splitlines()
    assert [line.split("  ")[0] for line in lines[4:]] == ["clean", "hub, before", "hub"]
