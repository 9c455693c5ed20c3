import copy

import numpy as np
import pytest

from rocmr_keras.reports import format_comparison
from rocmr_keras.reports import format_transfer
from rocmr_keras.reports import recall_curve


def figures(*recalls):
    """Recall@1, 5 and 10 of both directions."""
    found = {f"recall_at_{k}": recall for k, recall in zip((1, 5, 10), recalls)}
    return {"image_to_text": found, "text_to_image": found}


def run(recalls, epsilon=None, protocol="query", seed=0):
    attack = {"attack": "PGD", "epsilon": epsilon, "seed": seed} if epsilon else None
    budget = {"protocol": protocol, "image_attack": attack}
    return {"budget": budget, "image_to_text": figures(*recalls)["image_to_text"]}


def made(clean, seed=0, **attacks):
    return {
        "counts": {"images": 2, "texts": 3},
        "clean": figures(clean, 0.5, 1.0),
        "attacks": {name: run(*values, seed=seed) for name, values in attacks.items()},
    }


def rows_of(text):
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {cells[0]: cells[1:] for cells in lines}


def test_one_run():
    report = made(0.25, pgd=((0.125, 0.25, 0.375), 0.1))
    rows = rows_of(format_comparison({"rocmr": [report]}))
    assert rows["run"] == ["clean image→text", "clean text→image", "pgd image→text"]
    assert rows["rocmr"] == [*["25.0 / 50.0 / 100.0"] * 2, "12.5 / 25.0 / 37.5"]


def test_several_runs_have_a_mean_and_half_the_range_of_recall_at_1():
    reports = [made(recall, seed) for seed, recall in enumerate((0.1, 0.2, 0.6))]
    rows = rows_of(format_comparison({"a": reports, "b": reports[:1]}))
    assert rows["a"][0] == "30.0 (±25.0) / 50.0 / 100.0"
    assert rows["b"][0] == "10.0 / 50.0 / 100.0"


def test_a_table_for_each_protocol(report):
    text = format_comparison({"a": [report]})
    protocols = {run["budget"]["protocol"] for run in report["attacks"].values()}
    assert len(protocols) > 1
    for protocol in protocols:
        assert text.count(f"protocol: {protocol}\n") == 1
    clean = 100 * report["clean"]["image_to_text"]["recall_at_1"]
    assert text.count(f"| a | {clean:.1f} / ") == len(protocols)


def test_without_attacks_the_clean_table_is_left():
    assert rows_of(format_comparison({"a": [made(0.5)]}))["a"] == ["50.0 / 50.0 / 100.0"] * 2


def test_seeds_may_differ_and_nothing_else():
    attack = ((0.1, 0.2, 0.3), 0.1)
    first, second = made(0.5, 0, pgd=attack), made(0.5, 1, pgd=attack)
    format_comparison({"a": [first, second]})
    others = [copy.deepcopy(second) for _ in range(3)]
    others[0]["counts"]["images"] = 5
    others[1]["attacks"]["pgd"]["budget"]["image_attack"]["epsilon"] = 0.2
    others[2]["attacks"] = {}
    for other in others:
        with pytest.raises(ValueError, match="Received: 2 different ones, labels .'a 0', 'b 0'"):
            format_comparison({"a": [first], "b": [other]})


def test_the_curve_begins_clean_and_has_the_budgets_of_pgd_on_the_query():
    attacks = {
        "small": ((0.25, 0.5, 0.75), 0.1),
        "large": ((0.0, 0.25, 0.5), 0.2),
        "both": ((0.0, 0.0, 0.0), 0.3, "both"),
        "words": ((0.0, 0.0, 0.0),),
    }
    report = made(0.5, **attacks)
    assert recall_curve([report]) == {"epsilon": [0.0, 0.1, 0.2], "recall": [0.5, 0.25, 0.0]}
    assert recall_curve([report], k=10)["recall"] == [1.0, 0.75, 0.5]


def test_the_curve_of_several_runs_is_their_mean():
    reports = [made(recall, pgd=((recall / 2, 0, 0), 0.1)) for recall in (0.25, 0.75)]
    assert recall_curve(reports)["recall"] == [0.5, 0.25]


def test_a_curve_that_was_measured_comes_first():
    reports = [made(0.5, pgd=((0.25, 0, 0), 0.1)) for _ in range(2)]
    for report, recalls in zip(reports, ([0.5, 0.25, 0.0], [1.0, 0.25, 0.5])):
        budget = {"protocol": "query", "image_attack": {"attack": "PGD", "num_steps": 10}}
        report["curve"] = {"budget": budget, "epsilon": [0.0, 0.1, 0.2], "recall_at_1": recalls}
    assert recall_curve(reports) == {"epsilon": [0.0, 0.1, 0.2], "recall": [0.75, 0.25, 0.25]}
    format_comparison({"a": reports})
    reports[1]["curve"]["budget"]["image_attack"]["num_steps"] = 20
    with pytest.raises(ValueError, match="Received: 2 different ones"):
        format_comparison({"a": reports})


def test_transfer():
    matrix = {
        "names": ["a", "b"],
        "recall": np.array([[0.0, 0.5], [0.25, 0.125]]),
        "clean_recall": np.array([0.75, 1.0]),
    }
    assert rows_of(format_transfer(matrix)) == {
        "attacked": ["a", "b"],
        "none": ["75.0", "100.0"],
        "a": ["0.0", "50.0"],
        "b": ["25.0", "12.5"],
    }
