import copy

import numpy as np
import pytest

from rocmr_keras.evaluation import auto_attack
from rocmr_keras.evaluation import auto_attack_failures
from rocmr_keras.evaluation import auto_stages

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="module", autouse=True)
def few_steps():
    with pytest.MonkeyPatch.context() as patch:
        few = {"num_steps": 4, "num_queries": 30}
        patch.setitem(auto_stages.VERSIONS, "fast", {**auto_stages.VERSIONS["fast"], **few})
        yield


@pytest.fixture(scope="module")
def report(model, split):
    settings = {"version": "fast", "batch_size": 4, "verbose": 0}
    return auto_attack(model, split, epsilon=0.2, num_substitutions=1, **settings)


@pytest.fixture(scope="module")
def found(model, split, report):
    return auto_attack_failures(model, split, report, count=9, batch_size=4)


def test_the_report_lists_the_fallen_and_who_did_it(report):
    """The pale images, see `evaluate_test`, and every caption, which one token can change."""
    run = report["attacks"]["auto query"]
    listed = run["worst"]["image_to_text"]
    assert {entry["query"] for entry in listed} == {2, 4}
    names = {stage["attack"] for stage in run["stages"]}
    for direction, entries in run["worst"].items():
        ranks = [entry["rank"] for entry in entries]
        assert ranks == sorted(ranks, reverse=True) and min(ranks) > 1
        assert {entry["stage"] for entry in entries} <= names
        lost = report["clean"][direction]["recall_at_1"] - run[direction]["recall_at_1"]
        assert len(entries) == round(lost * run[direction]["count"])
    assert all("substitution" in entry["stage"] for entry in run["worst"]["text_to_image"])
    assert "Square" not in {entry["stage"].split(",")[0] for entry in listed}


def test_each_is_shown_under_the_attack_that_did_it(found, report, split):
    """What draws nothing at random, a substitution, finds the very same again."""
    listed = report["attacks"]["auto query"]["worst"]["text_to_image"]
    texts = found["text_to_image"]
    assert (texts["right"], texts["tried"], texts["fallen"]) == (10, 10, len(listed))
    shown = [(example["rank"][1], example["attack"]) for example in texts["examples"]]
    expected = [(entry["rank"], entry["stage"]) for entry in listed]
    assert sorted(shown) == sorted(expected)[-len(shown) :]


def test_the_pale_images_are_shown(found, split):
    images = found["image_to_text"]
    assert (images["right"], images["tried"], images["fallen"]) == (6, 6, 2)
    for example in images["examples"]:
        assert example["attack"].startswith("APGD, ") and example["rank"][1] > 1
        pixels = np.round(255 * example["query"]).astype("uint8")
        assert any(np.array_equal(pixels, split.images[index]) for index in (2, 4))
        change = np.abs(example["adversarial_query"] - example["query"]).max()
        assert 0.1 < change <= 0.2 + 1e-6


def test_the_stage_is_taken_from_the_report(model, split, report):
    """Told that the random search did it, it runs the random search."""
    report = copy.deepcopy(report)
    entries = report["attacks"]["auto query"]["worst"]["image_to_text"]
    for entry in entries:
        entry["stage"] = "Square, margin"
    report["attacks"]["auto query"]["worst"] = {"image_to_text": entries}
    found = auto_attack_failures(model, split, report, batch_size=4)
    assert list(found) == ["image_to_text"]
    examples = found["image_to_text"]["examples"]
    assert {example["attack"] for example in examples} == {"Square, margin"}
    # Its changes go to the corners of the ball.
    for example in examples:
        change = np.abs(example["adversarial_query"] - example["query"])
        assert np.mean(change > 0.199) > 0.9


def test_nobody_fell(model, split):
    settings = {"version": "fast", "batch_size": 4, "verbose": 0}
    report = auto_attack(model, split, epsilon=0.0, **settings)
    found = auto_attack_failures(model, split, report, batch_size=4)
    nobody = {"right": 6, "tried": 6, "fallen": 0, "examples": []}
    assert found == {"image_to_text": nobody}


def test_a_report_that_does_not_fit(model, split, report):
    with pytest.raises(ValueError, match=r"must be one of `auto_attack`.*Received.*\['pgd'\]"):
        auto_attack_failures(model, split, {**report, "attacks": {"pgd": {}}})
    with pytest.raises(ValueError, match="must be the one of the report. Received: {'images': 4"):
        auto_attack_failures(model, split.take(np.arange(4)), report)
