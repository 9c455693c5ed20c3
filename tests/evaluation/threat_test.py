import json

import pytest

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import CharacterChoice
from rocmr_keras.attacks import CharacterEdits
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.attacks import WholeWords
from rocmr_keras.attacks import objectives
from rocmr_keras.evaluation import Threat


def test_describe_is_the_whole_budget_in_plain_values():
    threat = Threat(PGD(4 / 255, num_steps=7), TokenSubstitution(2), "margin", "both")
    budget = json.loads(json.dumps(threat.describe()))
    assert budget["protocol"] == "both" and budget["objective"] == "margin"
    assert budget["image_attack"]["attack"] == "PGD"
    assert budget["image_attack"]["epsilon"] == pytest.approx(4 / 255)
    assert budget["image_attack"]["num_steps"] == 7
    assert budget["text_attack"]["attack"] == "TokenSubstitution"
    assert budget["text_attack"]["num_substitutions"] == 2
    assert "name" not in budget["image_attack"]


def test_describe_names_a_callable_objective_and_the_missing_attack():
    budget = Threat(PGD(0.1), objective=objectives.similarity).describe()
    assert budget["objective"] == "similarity"
    assert budget["text_attack"] is None
    json.dumps(budget)


def test_describe_is_that_of_the_attacks():
    words = TokenSubstitution(candidates=WholeWords())
    for attack in (words, CharacterEdits(seed=3)):
        described = json.loads(json.dumps(Threat(text_attack=attack).describe()))["text_attack"]
        assert described == {"attack": type(attack).__name__, **attack.describe()}
    assert words.describe()["candidates"]["class_name"] == "WholeWords"


def test_errors():
    with pytest.raises(ValueError, match="must be one of .*Received: protocol='all'"):
        Threat(PGD(0.1), protocol="all")
    with pytest.raises(ValueError, match="'query' needs an attack. Received: image_attack=None"):
        Threat()
    with pytest.raises(ValueError, match="'both' needs both attacks. Received: .*PGD"):
        Threat(PGD(0.1), protocol="both")
    with pytest.raises(ValueError, match="'both' needs"):
        Threat(text_attack=TokenSubstitution(), protocol="both")
    with pytest.raises(ValueError, match="`image_attack` must perturb"):
        Threat(image_attack=TokenSubstitution())
    with pytest.raises(ValueError, match="`text_attack` must perturb"):
        Threat(text_attack=PGD(0.1))
    with pytest.raises(ValueError, match="do without .*'candidate_token_ids'.*CharacterChoice"):
        Threat(text_attack=CharacterChoice())
    with pytest.raises(ValueError, match=r"`image_attack` must be an attack, not its class.*PGD\("):
        Threat(PGD)
    with pytest.raises(ValueError, match="`image_attack` must be an attack. Received: .*='pgd'"):
        Threat("pgd")
    with pytest.raises(ValueError, match="`objective` must be one of"):
        Threat(PGD(0.1), objective="entropy")
