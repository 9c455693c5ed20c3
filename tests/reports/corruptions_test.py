import pytest

from rocmr_keras.reports import corruption_recalls
from rocmr_keras.reports import format_corruptions
from rocmr_keras.reports import verdict


def run(kind, severity, recall):
    attack = {"attack": "Corruption", "kind": kind, "severity": severity}
    figures = {"recall_at_1": recall, "recall_at_5": recall, "recall_at_10": 1.0, "count": 100}
    budget = {"protocol": "query", "image_attack": attack, "text_attack": None}
    return {"budget": budget, "image_to_text": figures}


@pytest.fixture
def corrupted():
    figures = {"recall_at_1": 0.8, "count": 100}
    return {
        "counts": {"images": 100, "texts": 100},
        "clean": {"image_to_text": figures},
        "attacks": {
            "blur 5": run("blur", 5, 0.2),
            "blur 1": run("blur", 1, 0.7),
            "jpeg 5": run("jpeg", 5, 0.4),
            "jpeg 1": run("jpeg", 1, 0.8),
        },
    }


def test_mean_over_kinds(corrupted):
    found = corruption_recalls(corrupted)
    assert list(found) == [1, 5]
    assert found[5] == {"blur": 0.2, "jpeg": 0.4, "mean": pytest.approx(0.3)}
    assert corruption_recalls(corrupted, k=10)[1]["mean"] == 1.0
    table = format_corruptions(corrupted).splitlines()
    assert table[0].split()[-3:] == ["clean", "1", "5"]
    assert [line.split() for line in table[2:]] == [
        ["blur", "80.0", "70.0", "20.0"],
        ["jpeg", "80.0", "80.0", "40.0"],
        ["mean", "80.0", "75.0", "30.0"],
    ]


def test_the_conclusion_reads_no_wider(corrupted):
    said = verdict(corrupted)
    assert "image→text 80.0 % clean, 20.0 % under blur 5" in said
    assert "robust is not to be read wider than these 2 kinds of corruption" in said
    assert "image→text met corruptions only, so nothing is known of attacks on it" in said
    noise = {"attack": "RandomNoise", "epsilon": 0.1}
    corrupted["attacks"]["noise"] = run("noise", 1, 0.8)
    corrupted["attacks"]["noise"]["budget"]["image_attack"] = noise
    assert "image→text met random changes only" in verdict(corrupted)
    pgd = {"attack": "PGD", "num_steps": 3}
    corrupted["attacks"]["noise"]["budget"]["image_attack"] = pgd
    assert "image→text met attacks of 3 steps at most" in verdict(corrupted)


def test_severities_of_other_kinds(corrupted):
    del corrupted["attacks"]["jpeg 1"]
    with pytest.raises(ValueError, match="of each severity the same kinds. Received: .*'blur'"):
        corruption_recalls(corrupted)
    with pytest.raises(ValueError, match="must have corruptions"):
        corruption_recalls({"attacks": {}})
