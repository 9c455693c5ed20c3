import importlib.util
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from rocmr_keras.attacks import PGD
from rocmr_keras.evaluation import Threat
from rocmr_keras.evaluation import evaluate
from rocmr_keras.models import ConvolutionalImageEncoder
from rocmr_keras.models import DualEncoder
from rocmr_keras.models import TextEncoder

DIRECTIONS = ("image_to_text", "text_to_image")


def test_counts(report):
    assert report["counts"] == {"images": 7, "texts": 10}


def test_clean_recall_by_hand(report):
    """Every image but the failed red finds its caption, every caption its image."""
    clean = report["clean"]
    assert clean["image_to_text"]["recall_at_1"] == pytest.approx(6 / 7)
    assert clean["text_to_image"]["recall_at_1"] == 1.0
    assert clean["image_to_text"]["count"] == 7 and clean["text_to_image"]["count"] == 10
    recalls = [clean[key][f"recall_at_{k}"] for key in DIRECTIONS for k in (1, 5, 10)]
    assert clean["mean_recall"] == pytest.approx(np.mean(recalls))


def test_image_attack_by_hand(report):
    """The two pale images are lost, of six that were right."""
    run = report["attacks"]["pgd"]
    assert run["image_to_text"]["recall_at_1"] == pytest.approx(4 / 7)
    assert run["recall_drop"] == {"image_to_text": pytest.approx(2 / 7)}
    assert run["attack_success_rate"] == {"image_to_text": pytest.approx(2 / 6)}
    assert run["stalled_share"] == {"images": 0.0}


def test_text_attack_by_hand(report):
    """One other colour word is enough."""
    run = report["attacks"]["words"]
    assert run["text_to_image"]["recall_at_1"] == 0.0
    assert run["recall_drop"] == {"text_to_image": 1.0}
    assert run["attack_success_rate"] == {"text_to_image": 1.0}
    assert set(run["stalled_share"]) == {"texts"}


def test_noise_is_weaker_than_the_attack(report):
    noise, pgd = (report["attacks"][name]["image_to_text"] for name in ("noise", "pgd"))
    assert noise["recall_at_1"] > pgd["recall_at_1"]


def test_no_attack_raises_recall(report):
    for name, run in report["attacks"].items():
        for direction in run["recall_drop"]:
            clean = report["clean"][direction]["recall_at_1"]
            assert run[direction]["recall_at_1"] <= clean, name
            drop = clean - run[direction]["recall_at_1"]
            assert run["recall_drop"][direction] == pytest.approx(drop)


def test_protocol_query_reports_the_directions_it_attacks(report):
    figures = {"budget", "mean_recall", "recall_drop", "attack_success_rate", "stalled_share"}
    assert set(report["attacks"]["pgd"]) == figures | {"image_to_text"}
    assert set(report["attacks"]["noise"]) == figures | {"image_to_text"}
    assert set(report["attacks"]["words"]) == figures | {"text_to_image"}
    assert set(report["attacks"]["strong"]) == figures | set(DIRECTIONS)


def test_protocol_both_covers_both_directions(report):
    run = report["attacks"]["strong"]
    for name in ("recall_drop", "attack_success_rate"):
        assert set(run[name]) == set(DIRECTIONS)
    assert set(run["stalled_share"]) == {"images", "texts"}
    assert run["budget"]["protocol"] == "both"
    assert (
        run["image_to_text"]["recall_at_1"]
        < report["attacks"]["pgd"]["image_to_text"]["recall_at_1"]
    )


def test_the_report_is_plain_and_finite(report):
    assert json.loads(json.dumps(report, allow_nan=False)) == json.loads(json.dumps(report))


@pytest.mark.processor
def test_the_same_report_again_whatever_was_run_before(model, split, report):
    """An attack starts from its seed, not from where an earlier run left it."""
    attack = PGD(0.2, num_steps=2, seed=3)
    reports = [evaluate(model, split, {"pgd": attack}, batch_size=4, verbose=0) for _ in range(2)]
    assert reports[0] == reports[1]
    assert reports[0]["clean"] == report["clean"]


@pytest.mark.processor
def test_the_batch_size_changes_nothing_without_random_start(model, split, threats, report):
    again = evaluate(model, split, {"pgd": threats["pgd"]}, batch_size=16, verbose=0)
    assert again["clean"] == report["clean"]
    assert again["attacks"]["pgd"] == report["attacks"]["pgd"]


def test_a_blind_model_stalls_the_attack_and_has_no_success_rate(make_model, split):
    """All images look the same: no gradient, and every tie counts against the model."""
    threat = Threat(PGD(0.2, num_steps=2, seed=0))
    report = evaluate(make_model(contrast=0.0), split, {"pgd": threat}, 4, verbose=0)
    assert report["clean"]["text_to_image"]["recall_at_1"] == 0.0
    run = report["attacks"]["pgd"]
    assert run["stalled_share"] == {"images": 1.0}
    rate = run["attack_success_rate"]["image_to_text"]
    right = report["clean"]["image_to_text"]["recall_at_1"]
    assert rate == (None if right == 0.0 else 0.0)
    json.dumps(report, allow_nan=False)


def test_an_embedding_that_is_not_finite_is_an_error(make_model, split):
    with pytest.raises(ValueError, match="finite"):
        evaluate(make_model(contrast=float("nan")), split, batch_size=7, verbose=0)


# Run by the other backends on the file that this one has written.
SCRIPT = """
import json, sys
import keras
import numpy as np
from rocmr_keras.attacks import PGD
from rocmr_keras.data import Split
from rocmr_keras.evaluation import evaluate

model = keras.saving.load_model(sys.argv[1])
with open(sys.argv[2]) as file:
    saved = json.load(file)
saved["images"] = np.array(saved["images"], "uint8")
attack = PGD(0.1, num_steps=3, random_start=False, seed=0)
report = evaluate(model, Split(**saved), {"pgd": attack}, batch_size=4, verbose=0)
print("REPORT" + json.dumps(report))
"""
BACKENDS = ("tensorflow", "jax", "torch")
# Each backend writes for the next one: three hand-overs tie all of them together.
OTHERS = [
    name
    for name in [BACKENDS[(BACKENDS.index(keras.config.backend()) + 1) % len(BACKENDS)]]
    if importlib.util.find_spec(name) is not None
]


@pytest.fixture(scope="module")
def untrained(preprocessor, split, tmp_path_factory):
    """A model of the library's own towers as a file, its report, and the split as a file."""
    keras.utils.set_random_seed(3)
    model = DualEncoder(
        ConvolutionalImageEncoder(8, (8,), (1,), stem_stride=2),
        TextEncoder(preprocessor.vocabulary_size, 6, 8, 1, num_heads=2, projection_dim=8),
        preprocessor,
    )
    # Larger than at the start of a training, where all texts look nearly the same.
    model.text_encoder.embedding_table.assign(
        np.random.RandomState(0).normal(size=(preprocessor.vocabulary_size, 8))
    )
    folder = tmp_path_factory.mktemp("untrained")
    model.save(folder / "model.keras")
    saved = {
        "images": split.images.tolist(),
        "image_ids": split.image_ids.tolist(),
        "captions": split.captions,
        "caption_image_ids": split.caption_image_ids.tolist(),
    }
    (folder / "split.json").write_text(json.dumps(saved))
    attack = PGD(0.1, num_steps=3, random_start=False, seed=0)
    return folder, evaluate(model, split, {"pgd": attack}, batch_size=4, verbose=0)


@pytest.mark.parametrize("backend", OTHERS)
def test_a_saved_model_has_the_same_figures_on_the_other_backends(backend, untrained):
    folder, expected = untrained
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, folder / "model.keras", folder / "split.json"],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    found = json.loads(run.stdout.split("REPORT")[1])
    assert found["clean"] == expected["clean"]
    for name in ("image_to_text", "recall_drop", "attack_success_rate", "mean_recall"):
        assert found["attacks"]["pgd"][name] == expected["attacks"]["pgd"][name]
