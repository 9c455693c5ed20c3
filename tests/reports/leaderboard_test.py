import copy
import json

import pytest

from rocmr_keras.evaluation import split_sha256
from rocmr_keras.evaluation import weights_sha256
from rocmr_keras.reports import format_leaderboard
from rocmr_keras.reports import leaderboard_entry
from rocmr_keras.reports import read_entries
from rocmr_keras.reports import write_report

VERSIONS = {"rocmr_keras": "0.1.0", "keras": "3"}


@pytest.fixture
def make_entry(report, colour_split):
    def make_entry(name, audit=None, versions=VERSIONS):
        model = {"name": name, "sha256": 32 * "ab", "parameters": 7}
        data = {"dataset": "colours", "split": "test", "sha256": split_sha256(colour_split)}
        # A copy: the report is everybody's, and what is made of it is changed below.
        figures = copy.deepcopy({**report, "audit": audit})
        return leaderboard_entry(figures, model, data, versions)

    return make_entry


def test_a_folder_of_entries_makes_one_table(make_entry, tmp_path):
    audit = {"verdict": "caution", "reason": "temperature", "checks": {}}
    weak = make_entry("weak", audit, {**VERSIONS, "keras": "4"})
    for run in (weak["clean"], *weak["attacks"].values()):
        for direction in ("image_to_text", "text_to_image"):
            if direction in run:
                run[direction] = {key: 0.0 for key in run[direction]}
    write_report(tmp_path / "a_weak.json", weak)
    write_report(tmp_path / "strong.json", make_entry("strong"))
    entries = read_entries(tmp_path)
    assert list(entries) == ["a_weak", "strong"]
    text = format_leaderboard(entries)
    assert f"| a_weak | caution | 7 | {6 * 'ab'} |" in text
    assert f"| strong | none | 7 | {6 * 'ab'} |" in text
    # The better one first, in each table.
    assert 0 < text.index("| strong |") < text.index("| a_weak |")
    protocols = {run["budget"]["protocol"] for run in entries["strong"]["attacks"].values()}
    assert all(f"protocol: {name}\n" in text for name in protocols)


def test_what_cannot_be_mixed_is_listed(make_entry):
    first = make_entry("a")
    attack = next(name for name, run in first["attacks"].items() if run["budget"]["image_attack"])

    def epsilon(entry):
        entry["attacks"][attack]["budget"]["image_attack"]["epsilon"] = 0.9

    changes = {
        rf"attacks.{attack}.image_attack.epsilon: .*\(a\), 0.9 \(b\)": epsilon,
        r"counts.texts: 10 \(a\), 11 \(b\)": lambda entry: entry["counts"].update(texts=11),
        r'data.dataset: "colours" \(a\), "x" \(b\)': lambda e: e["data"].update(dataset="x"),
        r'data.sha256: ".*" \(a\), "y" \(b\)': lambda e: e["data"].update(sha256="y"),
        r'versions.rocmr_keras: "0.1.0" \(a\), "9" \(b\)': lambda e: e["versions"].update(
            rocmr_keras="9"
        ),
        rf'attacks.{attack}.protocol: "query" \(a\), "z" \(b\)': lambda e: e["attacks"][attack][
            "budget"
        ].update(protocol="z"),
        rf'attacks.{attack}.objective: ".*" \(a\), "nothing" \(b\)': lambda e: e["attacks"].pop(
            attack
        ),
        r'attacks.new.attack: "nothing" \(a\), "AutoAttack fast" \(b\)': lambda e: e[
            "attacks"
        ].update(new={"budget": {"attack": "AutoAttack fast"}}),
    }
    for message, change in changes.items():
        other = make_entry("b")
        change(other)
        with pytest.raises(ValueError, match=message):
            format_leaderboard({"a": first, "b": other})


def test_seeds_and_frameworks_may_differ(make_entry):
    other = make_entry("b", versions={**VERSIONS, "keras": "4"})
    for run in other["attacks"].values():
        for attack in (run["budget"]["image_attack"], run["budget"]["text_attack"]):
            if attack:
                attack["seed"] = 17
    assert "| b |" in format_leaderboard({"a": make_entry("a"), "b": other})


def test_errors(make_entry, tmp_path):
    with pytest.raises(ValueError, match="must hold entries"):
        read_entries(tmp_path)
    (tmp_path / "no.json").write_text(json.dumps({"counts": {}}))
    with pytest.raises(ValueError, match="`no.json` must have the entries .*without .'format'"):
        read_entries(tmp_path)
    with pytest.raises(ValueError, match="`model` must have .*without .'sha256', 'parameters'"):
        leaderboard_entry({}, {"name": "a"}, {}, {})


def test_checksums(make_colour_model, colour_split):
    first, second = make_colour_model(), make_colour_model()
    assert weights_sha256(first) == weights_sha256(second)
    table = second.text_encoder.embedding_table
    table.assign(2 * table)
    assert weights_sha256(first) != weights_sha256(second)
    assert split_sha256(colour_split) != split_sha256(colour_split.subset(6))
    assert len(split_sha256(colour_split)) == len(weights_sha256(first)) == 64
