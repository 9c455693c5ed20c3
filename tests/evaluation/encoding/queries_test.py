import numpy as np
import pytest

from rocmr_keras.attacks import APGD
from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.attacks import MarginsInTurn
from rocmr_keras.attacks import QueryEncoder
from rocmr_keras.attacks import RandomNoise
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.evaluation import EncodedSplit
from rocmr_keras.evaluation import encode_attacked
from rocmr_keras.evaluation.encoding import queries
from rocmr_keras.evaluation.encoding.queries import compiled_key

PALE = [2, 4]


@pytest.fixture(scope="module")
def encoded(model, split):
    return EncodedSplit(model, split, batch_size=4, verbose=0)


def attack_images(encoded, **options):
    attack = PGD(0.2, num_steps=3, random_start=False)
    return encode_attacked(encoded, "images", attack, **options)


@pytest.fixture(scope="module")
def attacked(encoded):
    return attack_images(encoded)


def test_attacked_images_stay_in_the_budget_and_flip_the_pale_ones(attacked, split):
    images = split.images.astype("float32") / 255
    found = attacked["adversarial_images"]
    assert found.shape == images.shape
    assert np.abs(found - images).max() <= 0.2 + 1e-6
    assert found.min() >= 0.0 and found.max() <= 1.0
    before = images.mean(axis=(1, 2)) > 0.5
    after = found.mean(axis=(1, 2)) > 0.5
    crossed = (before != after).any(axis=1)
    assert np.flatnonzero(crossed[:6]).tolist() == PALE
    assert attacked["stalled_share"] == 0.0


@pytest.mark.processor
def test_the_batch_size_changes_nothing(attacked, encoded):
    again = attack_images(encoded.batched(7))
    np.testing.assert_allclose(
        again["adversarial_images"], attacked["adversarial_images"], atol=1e-6
    )
    np.testing.assert_allclose(again["embeddings"], attacked["embeddings"], atol=1e-5)


def test_the_attacked_images_can_be_left_out(attacked, encoded):
    found = attack_images(encoded, keep_inputs=False)
    assert set(found) == {"embeddings", "stalled_share"}
    np.testing.assert_array_equal(found["embeddings"], attacked["embeddings"])


def test_some_queries_in_any_order(attacked, encoded):
    found = attack_images(encoded, queries=np.array([5, 2]))
    np.testing.assert_allclose(found["embeddings"], attacked["embeddings"][[5, 2]], atol=1e-5)


def test_attacked_tokens(encoded, split, preprocessor):
    attack = TokenSubstitution(1, num_candidates=8)
    found = encode_attacked(encoded.batched(10), "texts", attack)
    tokens = preprocessor.tokenize(split.captions)["token_ids"]
    changed = found["adversarial_token_ids"] != tokens
    assert (changed.sum(axis=1) == 1).all()
    assert not np.isin(tokens[changed], preprocessor.special_token_ids).any()
    np.testing.assert_array_equal(found["adversarial_token_ids"].dtype, np.int32)


def test_the_attack_given_is_not_used_up(encoded):
    attack = EmbeddingPGD(0.9, num_steps=1, seed=4)
    runs = [encode_attacked(encoded.batched(10), "texts", attack) for _ in range(2)]
    np.testing.assert_array_equal(runs[0]["text_perturbation"], runs[1]["text_perturbation"])
    assert attack.stalled_share == 0.0


def test_an_attack_on_the_other_side_is_an_error(encoded):
    with pytest.raises(ValueError, match="`attack` must perturb texts. Received: PGD"):
        encode_attacked(encoded, "texts", PGD(0.1))


class OwnPGD(PGD):
    """Of a subclass nobody knows whether it still scales its budget."""


BUDGETS = [(0.2, 1), (0.1, 1), (0.15, 2)]


@pytest.mark.parametrize("make, compiled", [(PGD, 1), (APGD, 1), (RandomNoise, 1), (OwnPGD, 3)])
@pytest.mark.usefixtures("eagerly")
def test_attacks_of_other_budgets_and_seeds_share_a_step(
    make, compiled, encoded, make_model, monkeypatch
):
    made = []
    monkeypatch.setattr(
        queries, "QueryEncoder", lambda *args: made.append(QueryEncoder(*args)) or made[-1]
    )

    def anew():
        return EncodedSplit(make_model(), encoded.split, batch_size=4, verbose=0)

    options = {} if make is RandomNoise else {"num_steps": 2}
    attacks = [make(epsilon, seed=seed, **options) for epsilon, seed in BUDGETS]
    fresh = anew()
    together = [encode_attacked(fresh, "images", attack) for attack in attacks]
    assert len(made) == compiled
    for attack, found in zip(attacks, together):
        expected = encode_attacked(anew(), "images", attack)
        for name in ("adversarial_images", "embeddings", "stalled_share"):
            np.testing.assert_allclose(found[name], expected[name], atol=1e-5)


RANKS = (1, 2, 4)


@pytest.mark.parametrize("modality", ["images", "texts"])
@pytest.mark.usefixtures("eagerly")
def test_one_step_serves_the_margins_at_every_rank(modality, encoded, monkeypatch):
    made = []
    monkeypatch.setattr(
        queries, "QueryEncoder", lambda *args: made.append(QueryEncoder(*args)) or made[-1]
    )
    attack = {"images": APGD(0.3, 3, seed=0), "texts": TokenSubstitution(1, 4)}[modality]
    encoded = encoded.batched(10)
    encoded._encoders._encoders.clear()
    found = {
        first: encode_attacked(encoded, modality, attack, MarginsInTurn(RANKS, first=first))
        for first in RANKS
    }
    assert len(made) == 1
    for first in RANKS:
        encoded._encoders._encoders.clear()
        objective = MarginsInTurn(RANKS, first=first)
        alone = encode_attacked(encoded, modality, attack, objective)
        np.testing.assert_allclose(found[first]["embeddings"], alone["embeddings"], atol=1e-6)
    # Of so few words the same one is the worst at all ranks.
    same = np.allclose(found[1]["embeddings"], found[4]["embeddings"], atol=1e-3)
    assert same == (modality == "texts")


def test_the_rank_is_no_constant_of_a_compiled_step(encoded):
    """At first the best wrong item is climbed towards, then the ninth."""
    found = []
    for first in (1, 9):
        objective = MarginsInTurn((1, 9), first=first)
        attack = PGD(0.3, num_steps=1, random_start=False, keep_best=False)
        found.append(encode_attacked(encoded, "images", attack, objective)["embeddings"])
    assert not np.allclose(*found, atol=1e-2)


def test_what_shares_a_step():
    assert compiled_key(PGD(0.1, seed=1), "images") == compiled_key(PGD(0.2, seed=2), "images")
    assert compiled_key(PGD(0.1), "images") != compiled_key(PGD(0.1), "texts")
    assert compiled_key(PGD(0.1, num_steps=3)) != compiled_key(PGD(0.1, num_steps=4))
    for one, other in (
        (PGD(0.1, step_size=0.01), PGD(0.2, step_size=0.01)),
        (PGD(0.0), PGD(0.1)),
        (TokenSubstitution(1), TokenSubstitution(2)),
    ):
        assert compiled_key(one) == compiled_key(one.fresh()) != compiled_key(other)


def test_a_shared_step_is_compiled_for_every_budget(encoded):
    small, large = (PGD(epsilon, num_steps=1, random_start=False) for epsilon in (0.1, 0.3))
    encode_attacked(encoded, "images", small)
    found = encode_attacked(encoded, "images", large)["adversarial_images"]
    images = encoded.split.images.astype("float32") / 255
    # One step goes to the edge of the ball.
    assert np.abs(found - images).max() == pytest.approx(0.3, abs=1e-6)
