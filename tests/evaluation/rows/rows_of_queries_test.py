import csv
import json

import numpy as np
import pytest
from keras import ops
from PIL import Image

from rocmr_keras.attacks import APGD
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.attacks import HumanEdits
from rocmr_keras.evaluation import Threat
from rocmr_keras.evaluation import attacked_rows
from rocmr_keras.evaluation import auto_attack
from rocmr_keras.evaluation import evaluate
from rocmr_keras.evaluation import query_rows
from rocmr_keras.evaluation.ensemble.stages import VERSIONS
from rocmr_keras.evaluation.rows.written_inputs import levels_of
from rocmr_keras.reports import write_rows

pytestmark = pytest.mark.usefixtures("eagerly")

OPTIONS = {"batch_size": 10, "verbose": 0, "return_ranks": True}
# No whole number of levels.
EPSILON = 40.7 / 255
THREATS = {
    "apgd 40/255": Threat(APGD(EPSILON, num_steps=4, seed=0), HumanEdits(), "margin"),
    "l2": APGD(1.2, num_steps=4, norm="l2", seed=0),
    "embeddings": EmbeddingPGD(0.9, num_steps=2, seed=0),
    "both": Threat(APGD(0.2, num_steps=2, seed=0), HumanEdits(), protocol="both"),
}


@pytest.fixture(scope="module")
def evaluated(model, split):
    return evaluate(model, split, THREATS, **OPTIONS)


@pytest.fixture(scope="module")
def attacked(model, split):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VERSIONS["fast"], "num_steps", 4)
        yield auto_attack(model, split, EPSILON, 1, version="fast", **OPTIONS)


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", ["evaluated", "attacked"])
def test_the_table_can_be_counted_from_the_file(name, split, request, tmp_path):
    report, ranks = request.getfixturevalue(name)
    write_rows(tmp_path / "rows.csv", query_rows(split, report, ranks))
    rows = read(tmp_path / "rows.csv")
    counted = 0
    for attack, run in report["attacks"].items():
        for direction in ("image_to_text", "text_to_image"):
            if direction not in run:
                continue
            found = [r for r in rows if (r["attack"], r["direction"]) == (attack, direction)]
            assert len(found) == run[direction]["count"]
            counted += len(found)
            for k in (1, 5, 10):
                after = [int(row["rank_after"]) <= k for row in found]
                before = [int(row["rank_before"]) <= k for row in found]
                assert np.mean(after) == run[direction][f"recall_at_{k}"]
                assert np.mean(before) == report["clean"][direction][f"recall_at_{k}"]
    assert counted == len(rows) > 0
    assert {row["protocol"] for row in rows} == {"query", "both"}
    assert not any(row["adversarial_caption"] or row["adversarial_image"] for row in rows)


@pytest.mark.parametrize("name", ["evaluated", "attacked"])
def test_what_is_written_has_the_rank_that_is_said(name, model, split, request, tmp_path):
    report, ranks = request.getfixturevalue(name)
    rows = attacked_rows(model, split, report, ranks, THREATS, batch_size=10)
    write_rows(tmp_path / "rows.csv", rows, tmp_path / "pictures")
    written = read(tmp_path / "rows.csv")
    plain = query_rows(split, report, ranks)
    assert [row["rank_after"] for row in written] == [str(row["rank_after"]) for row in plain]
    shown = [row for row in written if row["rank_written"]]
    for row in written:
        moved = row["rank_before"] != row["rank_after"]
        told = row["attack"] not in ("embeddings", "both", "auto both")
        assert bool(row["rank_written"]) == (moved and told)
    pictures = [row for row in shown if row["direction"] == "image_to_text"]
    captions = [row for row in shown if row["direction"] == "text_to_image"]
    assert pictures and captions
    for row in pictures:
        pixels = np.asarray(Image.open(tmp_path / row["adversarial_image"]))
        change = pixels.astype(int) - split.images[int(row["query"])]
        if row["attack"] == "l2":
            assert np.sqrt(np.square(change / 255.0).sum()) <= 1.2 + 1e-3
        else:
            assert np.abs(change).max() == 40
        scores = model.encode_images(pixels[None] / np.float32(255.0))
        check_rank(scores, split.caption_image_ids, model.encode_texts(split.captions), row)
    for row in captions:
        assert row["caption"] == split.captions[int(row["query"])] != row["adversarial_caption"]
        query = model.encode_texts([row["adversarial_caption"]])
        gallery = model.encode_images(split.images / np.float32(255.0))
        check_rank(query, split.image_ids, gallery, row)
    # Nothing drawn at random and nothing rounded: captions are what they were in the report.
    assert all(row["rank_written"] == row["rank_after"] for row in captions)


def check_rank(query, ids, gallery, row):
    scores = (to_numpy(query) @ to_numpy(gallery).T)[0]
    right = np.asarray(ids) == int(row["image_id"])
    # To a tolerance: equal scores, which count against the model, differ in the last bit.
    least, most = (1 + (scores[~right] >= scores[right].max() + e).sum() for e in (1e-5, -1e-5))
    assert least <= int(row["rank_written"]) <= most


def to_numpy(tensor):
    return ops.convert_to_numpy(tensor)


def test_the_row_names_stage_and_budget(attacked, evaluated, split):
    report, ranks = attacked
    stages = {stage["attack"] for run in report["attacks"].values() for stage in run["stages"]}
    for row in query_rows(split, report, ranks):
        assert row["stage"] in stages if row["rank_after"] > row["rank_before"] else True
        told = json.loads(row["budget"])
        assert told["attack"] == "AutoAttack fast" and told["epsilon"] == EPSILON
        assert told["num_substitutions"] == 1
    first, second = json.loads(query_rows(split, *evaluated)[0]["budget"])
    assert (first["attack"], second["attack"]) == ("APGD", "HumanEdits")
    assert first["epsilon"] == EPSILON and second["num_edits"] == 1


def test_parquet_has_the_same_rows(evaluated, split, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = query_rows(split, *evaluated)
    write_rows(tmp_path / "rows.parquet", rows)
    found = parquet.read_table(tmp_path / "rows.parquet").to_pylist()
    nothing = dict.fromkeys(("adversarial_caption", "adversarial_image", "rank_written"))
    assert found == [{**row, **nothing} for row in rows]
    with pytest.raises(ValueError, match=r"must end in one of .*\.csv.*Received.*rows\.txt"):
        write_rows(tmp_path / "rows.txt", rows)


@pytest.mark.parametrize("attack", [APGD(EPSILON), APGD(0.9, norm="l2"), None])
def test_rounding_does_not_leave_the_ball(attack):
    random = np.random.default_rng(0)
    clean = random.integers(0, 256, (2, 4, 4, 3)).astype("float32") / 255
    change = EPSILON * random.uniform(-1, 1, clean.shape)
    change[1] = EPSILON * np.sign(change[1])
    images = np.clip(clean + change, 0, 1).astype("float32")
    change, levels = 255.0 * (images - clean), levels_of(images, clean, attack)
    written = levels - np.round(255.0 * clean)
    assert written.any() and np.abs(written).max() == 40
    if getattr(attack, "norm", "l2") == "linf":
        assert np.abs(written - change)[0].max() < 0.5 + 1e-3
    else:
        assert np.all(np.abs(written) <= np.abs(change) + 0.01)
        assert np.abs(written - change).max() < 1.0


def test_the_edge_of_the_ball_is_kept():
    """What float32 falls short of it by does not cost a level."""
    clean = np.full((1, 2, 2, 3), 100 / 255, "float32")
    for sign in (-1, 1):
        images = clean + np.float32(sign * (8 / 255 - 1e-7))
        assert np.all(levels_of(images, clean, None) == 100 + 8 * sign)
