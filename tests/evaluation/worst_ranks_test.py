import json

import numpy as np
import pytest

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import RandomNoise
from rocmr_keras.evaluation import Threat
from rocmr_keras.evaluation import evaluate
from rocmr_keras.evaluation import worst_case
from rocmr_keras.metrics import Ranking

pytestmark = pytest.mark.usefixtures("eagerly")


def ranking(ranks, queries=(0, 1, 2, 3)):
    precision = 1.0 / np.array(ranks, float)
    return Ranking(np.array(queries), np.array(ranks), precision)


def run(protocol="query"):
    return {"budget": {"protocol": protocol}}


REPORT = {"attacks": {"a": run(), "b": run(), "c": run("gallery")}}
RANKS = {
    "clean": {"image_to_text": ranking([1, 1, 1, 2]), "text_to_image": ranking([1, 1, 1, 1])},
    "a": {"image_to_text": ranking([1, 3, 1, 1])},
    "b": {"image_to_text": ranking([1, 1, 7, 1]), "text_to_image": ranking([1, 2, 1, 1])},
    "c": {"image_to_text": ranking([9, 9, 9, 9])},
}


def test_right_only_if_right_under_all():
    found = worst_case(REPORT, RANKS, ["a", "b"])
    figures = found["image_to_text"]
    # Two fall to one attack each, and the last was wrong before.
    assert figures["recall_at_1"] == 0.25 and figures["mean_rank"] == (1 + 3 + 7 + 2) / 4
    assert figures["map_at_r"] == pytest.approx((1 + 1 / 3 + 1 / 7 + 1 / 2) / 4)
    assert found["recall_drop"] == {"image_to_text": 0.5, "text_to_image": 0.25}
    assert found["attack_success_rate"]["image_to_text"] == pytest.approx(2 / 3)
    assert found["budget"] == {"protocol": "query", "attacks": ["a", "b"]}
    json.dumps(found, allow_nan=False)


def test_only_the_queries_that_all_attacks_have():
    ranks = {**RANKS, "b": {"image_to_text": ranking([5, 1], queries=(1, 3))}}
    found = worst_case(REPORT, ranks, ["a", "b"])
    assert found["image_to_text"]["count"] == 2
    assert found["image_to_text"]["mean_rank"] == (5 + 2) / 2


def test_errors():
    with pytest.raises(ValueError, match="over the attacks of one protocol.*'gallery', 'query'"):
        worst_case(REPORT, RANKS)
    with pytest.raises(ValueError, match="Received: attacks=.'d'"):
        worst_case(REPORT, RANKS, ["d"])
    with pytest.raises(ValueError, match=r"Received: attacks=\[\]"):
        worst_case(REPORT, RANKS, [])


def test_on_a_model(model, split):
    attacks = {
        "noise": RandomNoise(0.2, seed=0),
        "pgd": Threat(PGD(0.2, 2, random_start=False), objective="margin"),
    }
    report, ranks = evaluate(model, split, attacks, 16, verbose=0, return_ranks=True)
    found = worst_case(report, ranks)["image_to_text"]["recall_at_1"]
    assert found <= min(run["image_to_text"]["recall_at_1"] for run in report["attacks"].values())
    ranks_of = [ranks[name]["image_to_text"].ranks for name in ("clean", "noise", "pgd")]
    assert found == np.mean(np.max(ranks_of, axis=0) == 1)
