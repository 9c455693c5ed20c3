import numpy as np
import pytest

from rocmr_keras.attacks import APGD
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.data import Split
from rocmr_keras.evaluation import EncodedSplit
from rocmr_keras.evaluation import Threat
from rocmr_keras.evaluation import auto_attack
from rocmr_keras.evaluation import encode_attacked
from rocmr_keras.evaluation import evaluate
from rocmr_keras.evaluation import worst_case
from rocmr_keras.evaluation.auto_attack_stages import RANKS
from rocmr_keras.evaluation.auto_attack_stages import VERSIONS
from rocmr_keras.evaluation.auto_attack_stages import auto_attack_budget
from rocmr_keras.evaluation.auto_attack_stages import query_stages
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


# A right word, and wrong ones on both sides of it: one on the near side, five on the far side.
DIRECTIONS = {"red": (1, 0, 0), "green": (1, 1.2, 0), "blue": (1, -4, 0), "old": (-1, 0, 0)}


@pytest.fixture(scope="module")
def two_sided(make_model):
    """An image that one wrong caption can pass on one side, and five on the other.

    The other image, to which all of these belong, has one wrong caption only, out of reach.
    """
    model = make_model()
    table = np.zeros(model.text_encoder.embedding_table.shape, "float32")
    for word, direction in DIRECTIONS.items():
        table[model.preprocessor.vocabulary.index(word)] = direction
    model.text_encoder.embedding_table.assign(table)
    captions = ["red", "green", "blue", "a blue", "the blue", "blue square", "tiny blue", "old"]
    pixels = np.full((2, 4, 4, 3), 128, "uint8")
    pixels[0, ..., 0], pixels[1, ..., 0] = 192, 64
    return model, Split(pixels, [0, 1], captions, [0] + 7 * [1])


def test_the_margin_at_5_breaks_what_the_margin_leaves(two_sided):
    """Uphill of `margin` and `contrastive` is the side on which one passes, not five."""
    model, split = two_sided
    objectives = ("contrastive", "margin")
    apgd = APGD(0.12, num_steps=STEPS, seed=0)
    old = {name: Threat(apgd, objective=name) for name in objectives}
    report, ranks = evaluate(model, split, old, verbose=0, return_ranks=True)
    left = worst_case(report, ranks)["image_to_text"]
    assert left["recall_at_1"] == 0.5 and left["recall_at_5"] == 1.0
    report, ranks = auto_attack(
        model, split, epsilon=0.12, version="fast", verbose=0, return_ranks=True
    )
    entry = report["attacks"]["auto query"]
    assert entry["image_to_text"]["recall_at_5"] == 0.5
    assert entry["image_to_text"]["recall_at_10"] == 1.0
    ranking = ranks["auto query"]["image_to_text"]
    assert ranking.ranks.tolist() == [6, 1] and ranking.stages[1] == ""
    (listed,) = entry["worst"]["image_to_text"]
    assert listed == {"query": 0, "rank": 6, "stage": ranking.stages[0]}
    (stage,) = [stage for stage in entry["stages"] if stage["attack"] == listed["stage"]]
    assert 5 in stage["k"] and stage["lost"]["5"] == 1 and stage["broken"] == 0


def test_the_ranks_are_those_of_the_report(model, split):
    options = {"num_substitutions": 1, "version": "fast", "batch_size": 4, "verbose": 0}
    report, ranks = auto_attack(model, split, return_ranks=True, **options)
    assert list(ranks) == ["clean", "auto query"]
    assert list(ranks["auto query"]) == ["text_to_image"]
    found, clean = (ranks[name]["text_to_image"] for name in ("auto query", "clean"))
    entry = report["attacks"]["auto query"]
    for k in RANKS:
        assert np.mean(found.ranks <= k) == entry["text_to_image"][f"recall_at_{k}"]
    assert np.array_equal(found.stages == "", found.ranks == clean.ranks)
    assert {*found.stages} - {""} <= {stage["attack"] for stage in entry["stages"]}
    # As of `evaluate`: with another attack of the same protocol there is a worst case of both.
    assert worst_case(report, ranks)["text_to_image"] == entry["text_to_image"]


@pytest.mark.parametrize("version", ["fast", "standard"])
def test_every_stage_stays_within_the_budget(version, model, split, monkeypatch):
    monkeypatch.setitem(VERSIONS[version], "num_steps", 2)
    monkeypatch.setitem(VERSIONS[version], "num_queries", 20 * (version == "standard"))
    encoded = EncodedSplit(model, split, batch_size=16, verbose=0)
    pixels = split.images.astype("float32") / 255
    tokens = model.preprocessor.tokenize(split.captions)["token_ids"]
    stages = query_stages(auto_attack_budget(0.2, 1, version=version))
    assert len(stages) == (8 if version == "fast" else 9)
    for stage in stages:
        side = "texts" if stage.threat.image_attack is None else "images"
        found = encode_attacked(encoded, side, stage.threat.attack_on(side), stage.threat.objective)
        if side == "images":
            assert np.abs(found["adversarial_images"] - pixels).max() <= 0.2 + 1e-6
            assert 0.0 <= found["adversarial_images"].min()
            assert found["adversarial_images"].max() <= 1.0
        else:
            assert (found["adversarial_token_ids"] != tokens).sum(axis=1).max() == 1


def test_a_stage_meets_those_who_are_left_at_its_rank():
    ranks = np.array([1, 2, 5, 6, 10, 11])
    met = {
        stage.name: ranks[stage.meets(ranks)].tolist()
        for stage in query_stages(auto_attack_budget(0.1, 1))
    }
    everyone = [1, 2, 5, 6, 10]
    assert met.pop("APGD, margin at 5, 10") == [2, 5]
    assert met.pop("APGD, margin at 10") == [6, 10]
    assert met.pop("substitution, margin at 5, 10") == [1, 2, 5]
    assert all(queries == everyone for queries in met.values()) and len(met) == 6


def test_errors(model, split):
    with pytest.raises(ValueError, match="needs a budget. Received: epsilon=None"):
        auto_attack(model, split)
    with pytest.raises(ValueError, match="Received: version='slow'. 'standard' is"):
        auto_attack(model, split, epsilon=0.1, version="slow")
