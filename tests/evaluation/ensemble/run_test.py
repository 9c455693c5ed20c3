import numpy as np
import pytest

from rocmr_keras.attacks import APGD
from rocmr_keras.attacks import CharacterEdits
from rocmr_keras.attacks import HumanEdits
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.attacks import WholeWords
from rocmr_keras.data import Preprocessor
from rocmr_keras.data import Split
from rocmr_keras.evaluation import EncodedSplit
from rocmr_keras.evaluation import Threat
from rocmr_keras.evaluation import auto_attack
from rocmr_keras.evaluation import encode_attacked
from rocmr_keras.evaluation import evaluate
from rocmr_keras.evaluation import worst_case
from rocmr_keras.evaluation.ensemble.stages import RANKS
from rocmr_keras.evaluation.ensemble.stages import VERSIONS
from rocmr_keras.evaluation.ensemble.stages import auto_attack_budget
from rocmr_keras.evaluation.ensemble.stages import joint_stages
from rocmr_keras.evaluation.ensemble.stages import query_stages
from rocmr_keras.evaluation.ensemble.text_part import WRITTEN
from rocmr_keras.evaluation.ensemble.text_part import text_part
from rocmr_keras.evaluation.protocols import Both
from rocmr_keras.models import Adapter
from rocmr_keras.reports import format_report
from rocmr_keras.reports import verdict

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
        model, split, epsilon=0.2, num_substitutions=1, version="fast", batch_size=16, verbose=0
    )


def test_no_single_attack_leaves_less(found, model, split):
    apgd = APGD(0.2, num_steps=STEPS, seed=0)
    swaps = TokenSubstitution(1, 32, seed=0, candidates=WholeWords())
    threats = {
        "image": Threat(apgd, swaps, "margin"),
        "pair": Threat(apgd, swaps, protocol=Both()),
        "edits": Threat(apgd, HumanEdits(), "margin"),
        "characters": Threat(apgd, CharacterEdits(num_positions=4), "margin"),
    }
    single = evaluate(model, split, threats, batch_size=16, verbose=0)
    for name in threats:
        entry = found["attacks"]["auto both" if name == "pair" else "auto query"]
        for direction in ("image_to_text", "text_to_image"):
            left = single["attacks"][name][direction]["recall_at_1"]
            assert entry[direction]["recall_at_1"] <= left
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
    strings = [f"{attack}, margin at 1, 5, 10" for attack in ("edits", "characters")]
    searches = [f"{attack}, {kind}" for kind in kinds for attack in ("APGD", "words")]
    assert names == searches + strings
    climbed = [stage["k"] for stage in entry["stages"][1:8:2]]
    assert climbed == [None, [1, 5, 10], [5, 10], [10]]


def test_protocols_stay_apart_in_the_table(found):
    table = format_report(found)
    assert table.index("protocol: query") < table.index("auto query") < table.index("auto both")
    assert {run["budget"]["protocol"] for run in found["attacks"].values()} == {"query", "both"}
    assert "captions under auto query: 1 word, edit or character\n" in table
    assert table.endswith("captions under auto both: 1 word")
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
def make_world(make_model):
    """Two images, one of the first caption and one, on the other side of grey, of the rest."""

    def make_world(directions, captions):
        model = make_model()
        table = np.zeros(model.text_encoder.embedding_table.shape, "float32")
        for word, direction in directions.items():
            table[model.preprocessor.vocabulary.index(word)] = direction
        model.text_encoder.embedding_table.assign(table)
        pixels = np.full((2, 4, 4, 3), 128, "uint8")
        pixels[0, ..., 0], pixels[1, ..., 0] = 192, 64
        return model, Split(pixels, [0, 1], captions, [0] + (len(captions) - 1) * [1])

    return make_world


@pytest.fixture(scope="module")
def two_sided(make_world):
    """An image that one wrong caption can pass on one side, and five on the other.

    The other image, to which all of these belong, has one wrong caption only, out of reach.
    """
    captions = ["red", "green", "blue", "a blue", "the blue", "blue square", "tiny blue", "old"]
    return make_world(DIRECTIONS, captions)


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


def test_a_target_breaks_what_the_nearest_item_hides(make_world, monkeypatch):
    """The nearest wrong caption is out of reach, the second is not: it takes two channels."""
    budget = {"num_steps": STEPS, "num_targets": 2, "num_queries": 0}
    for name, value in budget.items():
        monkeypatch.setitem(VERSIONS["standard"], name, value)
    directions = {"red": (1, 0, 0), "green": (1, 0.6, 0), "blue": (1, -0.5, -0.5)}
    model, split = make_world(directions, ["red", "green", "blue"])
    report = auto_attack(model, split, epsilon=0.05, verbose=0)
    stages = report["attacks"]["auto query"]["stages"]
    assert {stage["attack"]: stage["lost"]["1"] for stage in stages if stage["lost"]["1"]} == {
        "APGD, targeted 2": 1
    }


def test_the_ranks_are_those_of_the_report(model, split):
    options = {"num_substitutions": 1, "version": "fast", "batch_size": 16, "verbose": 0}
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
    assert len(stages) == (10 if version == "fast" else 11 + 3)
    for stage in stages:
        side = "texts" if stage.threat.image_attack is None else "images"
        found = encode_attacked(encoded, side, stage.threat.attack_on(side), stage.threat.objective)
        if side == "images":
            assert np.abs(found["adversarial_images"] - pixels).max() <= 0.2 + 1e-6
            assert 0.0 <= found["adversarial_images"].min()
            assert found["adversarial_images"].max() <= 1.0
        elif "adversarial_captions" in found:
            changed = found["text_changes"]
            assert changed["changed_share"] > 0 and changed["words"]["most"] <= 2
            characters = changed["characters"]["most"]
            assert characters == 1 if stage.name.startswith("characters") else characters > 1
        else:
            assert (found["adversarial_token_ids"] != tokens).sum(axis=1).max() == 1


def test_a_stage_meets_those_who_are_left_at_its_rank():
    ranks = np.array([1, 2, 5, 6, 10, 11])
    met = {
        stage.name: ranks[stage.meets(ranks)].tolist()
        for stage in query_stages(auto_attack_budget(0.1, 1, text=["tokens", "edits"]))
    }
    everyone = [1, 2, 5, 6, 10]
    assert met.pop("APGD, margin at 5, 10") == [2, 5]
    assert met.pop("APGD, margin at 10") == [6, 10]
    assert met.pop("substitution, margin at 5, 10") == [1, 2, 5]
    assert [met.pop(f"APGD, targeted {rival}") for rival in (1, 2, 3)] == [[1]] * 3
    assert all(queries == everyone for queries in met.values()) and len(met) == 7
    assert list(met)[-2:] == ["Square, margin at 1, 5, 10", "edits, margin at 1, 5, 10"]


def test_reports_from_before_there_were_targets_are_read():
    budget = auto_attack_budget(0.1)
    expected = [stage.name for stage in query_stages(budget) if "targeted" not in stage.name]
    del budget["num_targets"]
    assert [stage.name for stage in query_stages(budget)] == expected


LINES = {"words": "1 word, edit or character", "tokens": "1 token"}


@pytest.mark.parametrize("kind", list(LINES))
def test_the_report_says_what_was_done_to_captions(kind, model, split):
    options = {} if kind == "words" else {"text": ["tokens"]}
    report = auto_attack(
        model, split, num_substitutions=1, version="fast", batch_size=16, verbose=0, **options
    )
    run = report["attacks"]["auto query"]
    assert run["budget"]["text"] == list(WRITTEN if kind == "words" else ["tokens"])
    assert run["text_to_image"]["recall_at_1"] == 0.0
    kinds = {stage["attack"].split(",")[0] for stage in run["stages"]}
    assert kinds == (set(WRITTEN) if kind == "words" else {"substitution"})
    # What the captions repeat is among what edits insert.
    assert {"icon", "square"} <= set(run["budget"]["fillers"])
    said = verdict(report)
    assert f"captions under auto query: {LINES[kind]}" in said
    assert ("auto query tried no edits or characters on captions" in said) == (kind == "tokens")


class WithoutWords(Preprocessor):
    """Does not say which of its tokens are words."""

    whole_word_mask = None


class WithoutStrings(Preprocessor):
    """As where TensorFlow is not installed."""

    def tokenize(self, texts):
        raise ImportError


def test_the_text_part_is_what_the_preprocessor_can_do(model, preprocessor):
    def part(kind, text=None):
        own = kind.from_config(preprocessor.get_config())
        return text_part(Adapter(len, len, np.zeros((20, 2)), own), text)

    assert text_part(model) == WRITTEN and text_part(model, ["edits"]) == ("edits",)
    assert part(WithoutWords) == ("tokens", "edits", "characters")
    assert part(WithoutStrings) == ("words",)
    with pytest.raises(ValueError, match=r"Received: text=\('words',\). Leave out \['words'\]"):
        part(WithoutWords, ["words"])
    with pytest.raises(ValueError, match="different names among .* Received: text='edits'"):
        text_part(model, "edits")


def test_only_searches_are_joined_with_images():
    def names(text):
        budget = auto_attack_budget(0.1, 2, text=text)
        return [stage.name.split(", ")[1] for stage in joint_stages(budget)]

    assert names(["words", "edits"]) == ["words"] * 2
    assert names(["words", "tokens"]) == ["words"] * 2 + ["substitution"] * 2
    assert names(["edits", "characters"]) == []


def test_a_budget_of_an_older_report_means_what_it_meant():
    budget = auto_attack_budget(0.1, 1, text=["tokens"])
    names = [stage.name for stage in query_stages(budget)]
    del budget["text"], budget["fillers"], budget["num_positions"]
    assert [stage.name for stage in query_stages(budget)] == names
    assert "substitution, contrastive" in names


def test_errors(model, split):
    with pytest.raises(ValueError, match="needs a budget. Received: epsilon=None"):
        auto_attack(model, split)
    with pytest.raises(ValueError, match="Received: version='slow'. 'standard' is"):
        auto_attack(model, split, epsilon=0.1, version="slow")


def test_seconds_are_told_by_stage(found):
    for run in found["attacks"].values():
        assert set(run["seconds"]) == {stage["attack"] for stage in run["stages"]}
        # A stage that meets no query takes none.
        for clock in ("wall", "cpu"):
            took = [seconds[clock] for seconds in run["seconds"].values()]
            assert min(took) >= 0 and max(took) > 0


def test_queries_without_a_right_item_are_left_alone(model, split):
    lists = [[], [1, 7], [], [3], [], [], []]
    truth = {"image_to_text": lists}
    options = {"version": "fast", "batch_size": 4, "verbose": 0, "ground_truth": truth}
    report, ranks = auto_attack(model, split, epsilon=0.2, return_ranks=True, **options)
    ranking = ranks["auto query"]["image_to_text"]
    assert ranking.queries.tolist() == [1, 3]
    assert report["attacks"]["auto query"]["stages"][0]["queries"] == 2
