import numpy as np
import pytest

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import CharacterEdits
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.attacks import RandomNoise
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.evaluation import Threat
from rocmr_keras.evaluation.examples import worst

pytestmark = pytest.mark.usefixtures("eagerly")


def worst_failures(*args, **settings):
    """In batches of one small size, as some backends compile each operation once for each."""
    return worst.worst_failures(*args, batch_size=2, **settings)


def test_the_pale_images_fall(model, split):
    """Six of seven are right when clean, the two pale ones are lost, see `recall_report_test`."""
    attack = PGD(0.2, num_steps=3, random_start=False, seed=0)
    (found,) = worst_failures(model, split, attack).values()
    assert (found["right"], found["tried"], found["fallen"]) == (6, 6, 2)
    first, second = found["examples"]
    assert first["rank"][0] == second["rank"][0] == 1
    assert first["rank"][1] >= second["rank"][1] > 1
    pale = [np.round(255 * example["query"]).astype("uint8") for example in (first, second)]
    for pixels in pale:
        assert any(np.array_equal(pixels, split.images[index]) for index in (2, 4))
    change = np.abs(first["adversarial_query"] - first["query"]).max()
    assert 0.1 < change <= 0.2 + 1e-6
    assert first["before"] != first["after"]
    assert {first["before"], second["before"]} <= {"a blue square", "large blue", "a cyan square"}


def test_captions_show_what_they_find_before_and_after(model, split):
    found = worst_failures(model, split, TokenSubstitution(1, 8), count=2)["text_to_image"]
    assert (found["right"], found["fallen"]) == (10, 10)
    assert len(found["examples"]) == 2
    for example in found["examples"]:
        before, after = example["query"].split(), example["adversarial_query"].split()
        assert sum(a != b for a, b in zip(before, after, strict=True)) == 1
        # The toy finds the colour that it reads; what it finds now is another.
        assert example["before"].shape == example["after"].shape == (4, 4, 3)
        assert not np.allclose(example["before"], example["after"], atol=0.05)


def test_no_more_are_tried_than_asked_for(model, split):
    threat = Threat(text_attack=TokenSubstitution(1, 8))
    found = worst_failures(model, split, threat, num_queries=4, seed=1)["text_to_image"]
    assert (found["right"], found["tried"], found["fallen"]) == (10, 4, 4)
    assert len(found["examples"]) == 3


def test_who_does_not_fall_is_not_shown(model, split):
    found = worst_failures(model, split, RandomNoise(1e-4, seed=0))["image_to_text"]
    assert (found["tried"], found["fallen"], found["examples"]) == (6, 0, [])


def test_a_blind_model_has_nobody_to_attack(make_model, split):
    found = worst_failures(make_model(contrast=0.0), split, TokenSubstitution(1, 8))
    nobody = {"right": 0, "tried": 0, "fallen": 0, "examples": []}
    assert found == {"text_to_image": nobody}


def test_edited_characters_are_in_the_caption_as_it_was_written(model, split):
    found = worst_failures(model, split, CharacterEdits(1, seed=0), count=9)["text_to_image"]
    assert found["fallen"] > 0
    for example in found["examples"]:
        assert example["query"] in split.captions
        assert example["adversarial_query"] != example["query"]


def test_what_cannot_be_shown_is_refused(model, split):
    pair = Threat(PGD(0.1), TokenSubstitution(1), protocol="both")
    with pytest.raises(ValueError, match="must be of the protocol 'query'.*Received: .*'both'"):
        worst_failures(model, split, pair)
    with pytest.raises(
        ValueError, match="must write a text that can be read. Received: EmbeddingPGD"
    ):
        worst_failures(model, split, EmbeddingPGD(0.1))
