import json

import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import CharacterEdits
from rocmr_keras.attacks import HumanEdits
from rocmr_keras.attacks import MarginsInTurn
from rocmr_keras.attacks import RandomCharacterEdits
from rocmr_keras.attacks import Target
from rocmr_keras.attacks import objectives
from rocmr_keras.evaluation import EncodedSplit
from rocmr_keras.evaluation import SearchedGallery
from rocmr_keras.evaluation import Threat
from rocmr_keras.evaluation import encode_attacked
from rocmr_keras.evaluation import evaluate
from rocmr_keras.evaluation.encoding import strings
from rocmr_keras.evaluation.encoding.strings import StringScores
from rocmr_keras.evaluation.encoding.strings import TextLosses

pytestmark = pytest.mark.usefixtures("eagerly")

# One edit turns a colour into an unknown word, none into another colour.
ATTACK = CharacterEdits(num_positions=3, alphabet="ax")


@pytest.fixture(scope="module")
def encoded(model, split):
    return EncodedSplit(model, split, batch_size=10, verbose=0)


def attack_texts(encoded, attack=ATTACK, **options):
    return encode_attacked(encoded, "texts", attack, "margin", **options)


@pytest.fixture(scope="module")
def attacked(encoded):
    return attack_texts(encoded)


@pytest.mark.parametrize("objective", ["margin", "contrastive", "embedding_distance"])
def test_scores_are_the_losses_of_the_owner(objective, model, split, encoded):
    captions, ids = split.captions[:3], np.asarray(split.caption_image_ids)[:3]
    clean, searched = encoded.clean, encoded.searched("text_to_image")
    scores = StringScores(model, objective, searched, batch_size=4)
    strings = ["a red square", "a blue thing", "tiny", "a red square", "cyan red"]
    owners = np.array([0, 0, 2, 1, 1])
    found = scores.score_for(captions, np.arange(3))(strings, owners)
    target = Target(
        ops.convert_to_tensor(clean.images),
        ops.convert_to_tensor(ids[owners, None] == clean.image_ids),
        scale=model.scale(),
        clean=ops.convert_to_tensor(clean.texts[owners]),
    )
    expected = objectives.get(objective)(model.encode_texts(strings), target)
    np.testing.assert_allclose(found, ops.convert_to_numpy(expected), atol=1e-4)
    assert len(set(np.round(found, 3))) >= 3


def test_captions_lose_their_colour(attacked, model, split):
    captions = attacked["adversarial_captions"]
    known = {"embeddings", "adversarial_captions", "stalled_share", "text_changes"}
    assert set(attacked) == known
    assert len(captions) == 10 and all(isinstance(caption, str) for caption in captions)
    assert all(abs(len(a) - len(b)) <= 1 and a != b for a, b in zip(captions, split.captions))
    expected = ops.convert_to_numpy(model.encode_texts(captions))
    np.testing.assert_allclose(attacked["embeddings"], expected, atol=1e-5)
    # No colour is left to look for.
    np.testing.assert_allclose(attacked["embeddings"], 0.0, atol=1e-5)


def test_no_caption_is_weaker_than_the_clean_one(attacked, model, split, encoded):
    scores = StringScores(model, "margin", encoded.searched("text_to_image"))
    score = scores.score_for(split.captions, np.arange(10))
    before = score(split.captions, np.arange(10))
    after = score(attacked["adversarial_captions"], np.arange(10))
    assert np.all(after > before + 0.05)


@pytest.mark.processor
def test_batches_and_indices_change_nothing(attacked, encoded):
    again = attack_texts(encoded.batched(4), queries=np.array([7, 0, 3, 9, 1]))
    expected = [attacked["adversarial_captions"][index] for index in (7, 0, 3, 9, 1)]
    assert again["adversarial_captions"] == expected


def test_the_attack_given_is_not_used_up(encoded):
    attack = RandomCharacterEdits(seed=3)
    first, second = (attack_texts(encoded, attack) for _ in range(2))
    assert first["adversarial_captions"] == second["adversarial_captions"]


def test_one_compiled_step_serves_every_gallery_of_its_size(encoded, monkeypatch):
    """And an objective of equal settings; another rank is another step."""
    made = []
    monkeypatch.setattr(strings, "TextLosses", lambda *a: made.append(a) or TextLosses(*a))
    expected = [encode_attacked(encoded, "texts", ATTACK, MarginsInTurn()) for _ in range(2)]
    assert len(made) <= 1
    searched = encoded.searched("text_to_image")
    moved = SearchedGallery(-searched.embeddings, searched.relevance)
    found = encode_attacked(encoded, "texts", ATTACK, MarginsInTurn(), moved)
    assert len(made) <= 1
    own = StringScores(encoded.model, MarginsInTurn(), moved)
    score = own.score_for(encoded.split.captions, np.arange(10))
    losses = [score(f["adversarial_captions"], np.arange(10)) for f in (found, expected[0])]
    assert np.all(losses[0] >= losses[1]) and np.any(losses[0] > losses[1])
    encode_attacked(encoded, "texts", ATTACK, MarginsInTurn(first=7))
    assert made[-1][1].first == 7


def test_evaluate(model, split):
    threats = {
        "edits": Threat(text_attack=ATTACK, objective="margin"),
        "random": RandomCharacterEdits(seed=0),
        "people": Threat(text_attack=HumanEdits(kinds=["delete", "swap"]), objective="margin"),
    }
    report = evaluate(model, split, threats, batch_size=10, verbose=0)["attacks"]
    recalls = {name: run["text_to_image"]["recall_at_1"] for name, run in report.items()}
    assert recalls["edits"] == recalls["people"] == 0.0 < recalls["random"] < 1.0
    changes = report["people"]["text_changes"]["text_to_image"]
    # The colour goes, and a blank with it.
    assert changes["changed_share"] == 1.0 and changes["words"] == {"mean": 1.0, "most": 1}
    assert 4 < changes["characters"]["mean"] <= changes["characters"]["most"] == 8
    budget = json.loads(json.dumps(report["edits"]["budget"]))["text_attack"]
    assert budget == {"attack": "CharacterEdits", **ATTACK.get_config()}


def test_strings_and_images_do_not_mix(encoded):
    with pytest.raises(ValueError, match="`attack` must perturb images. Received: CharacterEdits"):
        encode_attacked(encoded, "images", ATTACK)
    with pytest.raises(ValueError, match="`image_attack` must perturb"):
        Threat(image_attack=ATTACK)
    Threat(PGD(0.1), ATTACK, protocol="both")
