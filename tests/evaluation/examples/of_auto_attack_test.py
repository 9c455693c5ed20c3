import copy

import numpy as np
import pytest

from rocmr_keras.evaluation import auto_attack
from rocmr_keras.evaluation import auto_attack_failures
from rocmr_keras.evaluation.ensemble.stages import VERSIONS
from rocmr_keras.metrics import text_changes

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="module", autouse=True)
def few_steps():
    with pytest.MonkeyPatch.context() as patch:
        few = {"num_steps": 4, "num_queries": 30}
        patch.setitem(VERSIONS, "fast", {**VERSIONS["fast"], **few})
        yield


SETTINGS = {"version": "fast", "batch_size": 4, "verbose": 0}


@pytest.fixture(scope="module")
def images(model, split):
    """Two budgets would run the joint attacks as well."""
    return auto_attack(model, split, epsilon=0.2, **SETTINGS)


@pytest.fixture(scope="module")
def texts(model, split):
    return auto_attack(model, split, num_substitutions=1, **SETTINGS)


@pytest.mark.parametrize("name", ["images", "texts"])
def test_the_report_lists_the_fallen_and_who_did_it(name, request):
    report = request.getfixturevalue(name)
    run = report["attacks"]["auto query"]
    ((direction, listed),) = run["worst"].items()
    ranks = [entry["rank"] for entry in listed]
    assert ranks == sorted(ranks, reverse=True) and min(ranks) > 1
    assert {entry["stage"] for entry in listed} <= {stage["attack"] for stage in run["stages"]}
    lost = report["clean"][direction]["recall_at_1"] - run[direction]["recall_at_1"]
    assert len(listed) == round(lost * run[direction]["count"]) > 0


def test_each_caption_is_shown_under_the_attack_that_did_it(model, split, texts):
    """What draws nothing at random, a substitution, finds the very same again."""
    listed = texts["attacks"]["auto query"]["worst"]["text_to_image"]
    (found,) = auto_attack_failures(model, split, texts, count=9, batch_size=4).values()
    assert (found["right"], found["tried"], found["fallen"]) == (10, 10, len(listed))
    shown = [(example["rank"][1], example["attack"]) for example in found["examples"]]
    expected = [(entry["rank"], entry["stage"]) for entry in listed]
    assert sorted(shown) == sorted(expected)[-len(shown) :]


@pytest.mark.parametrize("name", ["edits", "characters"])
def test_strings_are_shown_as_they_were_written(name, model, split):
    report = auto_attack(model, split, num_substitutions=1, text=[name], **SETTINGS)
    (found,) = auto_attack_failures(model, split, report, batch_size=4).values()
    listed = report["attacks"]["auto query"]["worst"]["text_to_image"]
    assert found["fallen"] == len(listed) and len(found["examples"]) == min(3, len(listed)) > 0
    for example in found["examples"]:
        assert example["attack"] == f"{name}, margin at 1, 5, 10"
        assert example["query"] in split.captions
        count = 1 if name == "characters" else 9
        changes = text_changes([example["query"]], [example["adversarial_query"]])
        assert 1 <= changes["characters"]["most"] <= count


def test_the_pale_images_are_shown(model, split, images):
    """A budget of 0.2 takes them and them only, see `recall_report_test`."""
    (found,) = auto_attack_failures(model, split, images, batch_size=4).values()
    assert (found["right"], found["tried"], found["fallen"]) == (6, 6, 2)
    assert len(found["examples"]) == 2
    for example in found["examples"]:
        assert example["attack"].startswith("APGD, ") and example["rank"][1] > 1
        pixels = np.round(255 * example["query"]).astype("uint8")
        assert any(np.array_equal(pixels, split.images[index]) for index in (2, 4))
        change = np.abs(example["adversarial_query"] - example["query"]).max()
        assert 0.1 < change <= 0.2 + 1e-6


def test_the_stage_is_taken_from_the_report(model, split, images):
    """Told that the random search did it, it runs the random search."""
    report = copy.deepcopy(images)
    for entry in report["attacks"]["auto query"]["worst"]["image_to_text"]:
        entry["stage"] = "Square, margin at 1, 5, 10"
    (found,) = auto_attack_failures(model, split, report, batch_size=4).values()
    assert {example["attack"] for example in found["examples"]} == {"Square, margin at 1, 5, 10"}
    # Its changes go to the corners of the ball.
    for example in found["examples"]:
        change = np.abs(example["adversarial_query"] - example["query"])
        assert np.mean(change > 0.199) > 0.9


def test_nobody_fell(model, split):
    report = auto_attack(model, split, epsilon=0.0, **SETTINGS)
    found = auto_attack_failures(model, split, report, batch_size=4)
    nobody = {"right": 6, "tried": 6, "fallen": 0, "examples": []}
    assert found == {"image_to_text": nobody}


def test_a_report_that_does_not_fit(model, split, images):
    with pytest.raises(ValueError, match=r"must be one of `auto_attack`.*Received.*\['pgd'\]"):
        auto_attack_failures(model, split, {**images, "attacks": {"pgd": {}}})
    with pytest.raises(ValueError, match="must be the one of the report. Received: {'images': 4"):
        auto_attack_failures(model, split.take(np.arange(4)), images)
