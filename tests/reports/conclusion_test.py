import pytest

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import RandomNoise
from rocmr_keras.attacks import RandomSubstitution
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.evaluation import Threat
from rocmr_keras.reports import verdict


def figures(recall, count=200):
    recalls = {f"recall_at_{k}": recall for k in (1, 5, 10)}
    return {**recalls, "median_rank": 3.0, "mean_rank": 4.5, "count": count}


def written(clean, attacks, **extra):
    """A report of figures by direction, and for each attack a threat and its figures."""
    return {
        "counts": {"images": 200, "texts": 200},
        "clean": {name: figures(recall) for name, recall in clean.items()},
        "attacks": {
            name: {
                "budget": threat.describe() if isinstance(threat, Threat) else threat,
                **{direction: figures(recall) for direction, recall in left.items()},
            }
            for name, (threat, left) in attacks.items()
        },
        **extra,
    }


CLEAN = {"image_to_text": 0.42, "text_to_image": 0.5}
IMAGES, TEXTS = Threat(PGD(0.1, num_steps=20)), Threat(text_attack=TokenSubstitution(1))
STRONG = {
    "weak pgd": (IMAGES, {"image_to_text": 0.3}),
    "pgd": (IMAGES, {"image_to_text": 0.18}),
    "tokens": (TEXTS, {"text_to_image": 0.1}),
}


def test_the_lowest_recall_of_each_direction_and_what_is_kept():
    assert verdict(written(CLEAN, STRONG)) == (
        "recall@1, protocol query: image→text 42.0 % clean, 18.0 % under pgd (42.9 % kept), "
        "text→image 50.0 % clean, 10.0 % under tokens (20.0 % kept); weakest: text→image under "
        "tokens; caution: not AutoAttack, a stronger attack may leave less"
    )


def test_protocols_are_told_apart_and_the_weakest_is_of_the_first():
    pair = Threat(PGD(0.1, num_steps=20), TokenSubstitution(1), protocol="both")
    both = {"pair": (pair, {"image_to_text": 0.0, "text_to_image": 0.05})}
    said = verdict(written(CLEAN, {**STRONG, **both}))
    assert "; protocol both: image→text 0.0 % under pair (0.0 % kept), text→image 5.0 %" in said
    assert "weakest: text→image under tokens" in said


def test_random_changes_are_no_attack():
    noise = {"noise": (Threat(RandomNoise(0.1)), {"image_to_text": 0.4})}
    swaps = Threat(text_attack=RandomSubstitution(1))
    said = verdict(written(CLEAN, {**noise, "swaps": (swaps, {"text_to_image": 0.4})}))
    assert "image→text met random changes only" in said
    assert "text→image met random changes only" in said
    said = verdict(written(CLEAN, {**noise, **STRONG}))
    assert "random" not in said
    assert "text→image was not attacked" in verdict(written(CLEAN, noise))


def test_under_protocol_gallery_the_other_side_counts():
    """An image attack, on the items, meets text queries."""
    threat = Threat(RandomNoise(0.1), protocol="gallery")
    said = verdict(written(CLEAN, {"noise": (threat, {"text_to_image": 0.4})}))
    assert "text→image met random changes only" in said


def test_short_attacks_are_weak():
    short = Threat(PGD(0.1, num_steps=3))
    said = verdict(written(CLEAN, {"pgd": (short, {"image_to_text": 0.4})}))
    assert "image→text met attacks of 3 steps at most, 10 are few" in said
    assert "steps" not in verdict(written(CLEAN, STRONG))


@pytest.mark.parametrize("version", ["fast", "standard"])
def test_auto_attack(version):
    budget = {"protocol": "query", "attack": f"AutoAttack {version}", "num_steps": 100}
    left = {"image_to_text": 0.1, "text_to_image": 0.1}
    said = verdict(written(CLEAN, {"auto query": (budget, left)}))
    assert "not AutoAttack" not in said
    assert ("not for publication" in said) == (version == "fast")
    assert ("caution" in said) == (version == "fast")


def test_what_auto_attack_did_to_captions():
    budget = {"protocol": "query", "attack": "AutoAttack standard", "num_substitutions": 2}
    left = {"image_to_text": 0.1, "text_to_image": 0.1}

    def said(**part):
        return verdict(written(CLEAN, {"auto query": ({**budget, **part}, left)}))

    whole = said(text=["words", "edits", "characters"])
    assert "; captions under auto query: 2 words, edits or characters; weakest" in whole
    assert "caution" not in whole
    # Reports of before this choice have no `text`.
    for part in (said(text=["tokens"]), said()):
        assert "captions under auto query: 2 tokens; " in part
        assert part.endswith("caution: auto query tried no edits or characters on captions")
    assert "characters on captions" in said(text=["words", "edits"])
    assert "captions" not in said(num_substitutions=None)


def test_no_attack_stalled_gradients_masked_audit_few_queries():
    said = verdict(written(CLEAN, {}))
    assert said.startswith("recall@1, clean: image→text 42.0 %, text→image 50.0 %; caution: no")
    report = written({**CLEAN, "text_to_image": 0.0}, STRONG)
    report["attacks"]["pgd"]["stalled_share"] = {"images": 0.25}
    checks = {"more_steps": {"verdict": "fail"}, "temperature": {"verdict": "caution"}}
    said = verdict({**report, "audit": {"verdict": "masked", "checks": checks}})
    assert "25.0 % of the gradients of pgd stalled" in said
    assert "audit: masked (more_steps), so the figures may be too good" in said
    assert "only 0 text→image queries were right" in said
    # A share of nothing is not written, and nothing is the weakest of one.
    assert "10.0 % under tokens;" in said and "weakest" not in said


def test_an_audit_that_warns_names_autoattack_and_a_sound_one_is_no_caution():
    report = written(CLEAN, STRONG)
    checks = {"more_steps": {"verdict": "pass"}, "temperature": {"verdict": "caution"}}
    said = verdict({**report, "audit": {"verdict": "caution", "checks": checks}})
    assert said.endswith(
        "audit: caution (temperature), so the figures of AutoAttack are the ones to read"
    )
    assert "audit" not in verdict({**report, "audit": {"verdict": "sound", "checks": checks}})
    # An older one judged by other rules.
    assert "audit" not in verdict({**report, "audit": {"passed": False, "checks": checks}})


def test_a_share_of_the_queries_is_compared_with_itself():
    report = written(CLEAN, STRONG)
    report["attacks"]["pgd"]["clean"] = {"image_to_text": figures(0.36)}
    assert "image→text 36.0 % clean, 18.0 % under pgd (50.0 % kept)" in verdict(report)


def test_one_line_for_a_real_report(report):
    said = verdict({**report, "attacks": {"two\nlines": report["attacks"]["pgd"]}})
    assert "\n" not in said and "57.1 % under two lines (66.7 % kept)" in said
