import numpy as np
import pytest

from rocmr_keras.attacks import APGD
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.evaluation import Threat
from rocmr_keras.evaluation import auto_attack
from rocmr_keras.evaluation import evaluate
from rocmr_keras.evaluation.auto_attack_stages import RANKS
from rocmr_keras.evaluation.auto_attack_stages import VERSIONS
from rocmr_keras.evaluation.protocols import Both
from rocmr_keras.reports import format_report

pytestmark = pytest.mark.usefixtures("eagerly")


STEPS = 4


@pytest.fixture(scope="module", autouse=True)
def few_steps():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VERSIONS["fast"], "num_steps", STEPS)
        yield


@pytest.fixture(scope="module")
def found(model, split):
    return auto_attack(
        model, split, epsilon=0.2, num_substitutions=1, version="fast", batch_size=4, verbose=0
    )


def test_no_single_attack_leaves_less(found, model, split):
    apgd = APGD(0.2, num_steps=STEPS, seed=0)
    swaps = TokenSubstitution(1, 32, seed=0)
    single = evaluate(
        model,
        split,
        {"image": Threat(apgd, swaps, "margin"), "pair": Threat(apgd, swaps, protocol=Both())},
        batch_size=4,
        verbose=0,
    )
    for name, entry in (("image", "auto query"), ("pair", "auto both")):
        for direction in ("image_to_text", "text_to_image"):
            left = found["attacks"][entry][direction]["recall_at_1"]
            assert left <= single["attacks"][name][direction]["recall_at_1"]
    assert found["clean"] == single["clean"]


def test_the_stages_add_up(found):
    """Each meets those who are right at its rank so far, and what it breaks is gone."""
    entry = found["attacks"]["auto query"]
    for direction in ("image_to_text", "text_to_image"):
        stages = [stage for stage in entry["stages"] if stage["direction"] == direction]
        count = entry[direction]["count"]
        left = {k: round(found["clean"][direction][f"recall_at_{k}"] * count) for k in RANKS}
        for stage in stages:
            first, tried = (stage["k"] or RANKS)[0], 0
            if direction == "image_to_text" and first > 1:
                tried = left[{5: 1, 10: 5}[first]]
            assert stage["queries"] == left[10 if first == 1 else first] - tried
            left = {k: left[k] - stage["lost"][str(k)] for k in RANKS}
            assert stage["broken"] == stage["lost"]["10"]
        assert left == {k: round(entry[direction][f"recall_at_{k}"] * count) for k in RANKS}
    names = [stage["attack"] for stage in entry["stages"]]
    kinds = ["contrastive", *(f"margin at {ks}" for ks in ("1, 5, 10", "5, 10", "10"))]
    assert names == [f"{attack}, {kind}" for kind in kinds for attack in ("APGD", "substitution")]
    assert [stage["k"] for stage in entry["stages"][1::2]] == [None, [1, 5, 10], [5, 10], [10]]


def test_protocols_stay_apart_in_the_table(found):
    table = format_report(found)
    assert table.index("protocol: query") < table.index("auto query") < table.index("auto both")
    assert {run["budget"]["protocol"] for run in found["attacks"].values()} == {"query", "both"}
    for run in found["attacks"].values():
        assert np.isfinite(run["mean_recall"])


def test_only_what_has_a_budget_is_attacked(model, split):
    report = auto_attack(model, split, epsilon=0.0, version="fast", batch_size=4, verbose=0)
    assert list(report["attacks"]) == ["auto query"]
    entry = report["attacks"]["auto query"]
    assert "text_to_image" not in entry
    assert entry["image_to_text"] == report["clean"]["image_to_text"]


def test_errors(model, split):
    with pytest.raises(ValueError, match="needs a budget. Received: epsilon=None"):
        auto_attack(model, split)
    with pytest.raises(ValueError, match="Received: version='slow'. 'standard' is"):
        auto_attack(model, split, epsilon=0.1, version="slow")
