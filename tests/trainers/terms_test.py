import inspect

import pytest

from rocmr_keras.trainers import PRESETS
from rocmr_keras.trainers import Terms
from rocmr_keras.trainers import terms


def test_every_argument_is_a_config_key():
    arguments = list(inspect.signature(Terms).parameters)
    weights = {name: index + 1.0 for index, name in enumerate(arguments[:-2])}
    weights["image_drift"] = 0.0
    switches = {"text_first": True, "constant_clean_images": True}
    config = Terms(**weights, **switches).get_config()
    assert config == {**weights, **switches}
    assert Terms(**config).get_config() == config


@pytest.mark.parametrize("name", PRESETS)
def test_the_weights_of_a_preset_sum_to_one(name):
    # But for the divergence, which comes on top.
    terms = PRESETS[name]
    weights = [weight for weight, *_ in (*terms.blocks(), *terms.distances())]
    assert sum(weights) == pytest.approx(1.0)


def test_uses():
    chosen = Terms(adversarial_images=1.0)
    assert chosen.uses("adversarial_image_embeddings") and chosen.uses("text_embeddings")
    assert not chosen.uses("image_embeddings") and not chosen.uses("adversarial_text_embeddings")


def test_attacks():
    assert Terms(adversarial_pairs=1.0).attacks("images")
    assert Terms(text_anchor=1.0).attacks("texts") and not Terms(text_anchor=1.0).attacks("images")
    assert not PRESETS["standard"].attacks("texts")


def test_an_unknown_view_is_an_error():
    chosen = Terms(clean=1.0)
    for ask in (chosen.uses, chosen.retrieves, chosen.measures):
        with pytest.raises(ValueError, match="`view` must be one of .*='adversarial_images'"):
            ask("adversarial_images")


def test_distances_use_their_view_and_the_reference():
    chosen = Terms(image_anchor=1.0, text_drift=0.5)
    assert chosen.uses("adversarial_image_embeddings") and chosen.uses("text_embeddings")
    assert not chosen.uses("image_embeddings") and not chosen.uses("adversarial_text_embeddings")
    assert chosen.refers("images") and chosen.refers("texts")
    assert not chosen.retrieves()
    assert not Terms(text_anchor=1.0).refers("images")


@pytest.mark.parametrize(
    "weights",
    [
        {"clean": 1.0},
        {"adversarial_texts": 1.0},
        {"image_anchor": 1.0},
        {"adversarial_images": 1.0, "image_drift": 0.1},
    ],
)
def test_constant_clean_images_need_adversarial_ones(weights):
    with pytest.raises(ValueError, match="`constant_clean_images` needs retrieval by adversarial"):
        Terms(**weights, constant_clean_images=True)


def test_consistency_compares_what_is_trained():
    chosen = Terms(adversarial_texts=1.0, consistency=0.5)
    assert chosen.adversarial_blocks() == [("image_embeddings", "adversarial_text_embeddings")]
    assert chosen.uses("text_embeddings") and not chosen.uses("adversarial_image_embeddings")
    with pytest.raises(ValueError, match="without adversarial pairs. Give"):
        Terms(clean=1.0, consistency=1.0)


def test_get():
    chosen = Terms(clean=1.0)
    assert terms.get(chosen) is chosen
    assert terms.get({"clean": 2.0}).clean == 2.0
    assert terms.get("mat").text_first
    with pytest.raises(ValueError, match="Received: terms='trades'"):
        terms.get("trades")


@pytest.mark.parametrize("weights", [{}, {"clean": -1.0}, {"clean": 1.0, "text_views": -0.1}])
def test_weights_must_be_positive(weights):
    with pytest.raises(ValueError, match="must not be negative, and one must be positive"):
        Terms(**weights)
