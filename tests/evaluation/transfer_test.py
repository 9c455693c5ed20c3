import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.attacks import joint
from rocmr_keras.data import Preprocessor
from rocmr_keras.evaluation import EncodedSplit
from rocmr_keras.evaluation import Threat
from rocmr_keras.evaluation import encode_attacked
from rocmr_keras.evaluation import evaluate
from rocmr_keras.evaluation import protocols
from rocmr_keras.evaluation import transfer_matrix
from rocmr_keras.evaluation.encoding.embeddings import encode_inputs
from rocmr_keras.evaluation.transfer import _success
from rocmr_keras.evaluation.transfer import _translate

pytestmark = pytest.mark.usefixtures("eagerly")

SETTINGS = {"batch_size": 4, "verbose": 0}


@pytest.fixture(scope="module")
def models(model, random_model):
    return {"colours": model, "random": random_model}


@pytest.fixture(scope="module", params=["images", "tokens"])
def case(request, models, split):
    attack, direction = {
        "images": (PGD(0.2, 3, random_start=False), "image_to_text"),
        "tokens": (TokenSubstitution(1, 8), "text_to_image"),
    }[request.param]
    return attack, direction, transfer_matrix(models, split, attack, k=2, **SETTINGS)


def recall_at_2(model, split, attacks):
    """From the ranks that `evaluate` gives."""
    _, ranks = evaluate(model, split, attacks, return_ranks=True, **SETTINGS)
    return {
        name: {key: np.mean(found.ranks <= 2) for key, found in run.items()}
        for name, run in ranks.items()
    }


def test_the_diagonal_is_the_white_box_attack(case, models, split):
    attack, direction, matrix = case
    assert matrix["names"] == ["colours", "random"] and matrix["recall"].shape == (2, 2)
    for place, model in enumerate(models.values()):
        expected = recall_at_2(model, split, {"own": attack})
        assert matrix["recall"][place, place] == pytest.approx(expected["own"][direction])
        assert matrix["clean_recall"][place] == pytest.approx(expected["clean"][direction])


def test_an_attack_on_another_model_hurts_less(case):
    """The colours know nothing of the random model's directions."""
    matrix = case[2]
    assert matrix["recall"][1, 0] > matrix["recall"][0, 0]


class Renumbered:
    """A model that knows the same words, the ordinary ones in reverse order."""

    def __init__(self, inner):
        self.inner = inner
        known = inner.preprocessor.vocabulary
        self.order = np.array([*range(4), *range(len(known) - 1, 3, -1)])
        words = [known[place] for place in self.order]
        self.preprocessor = Preprocessor(words, sequence_length=6, image_size=(4, 4))

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def encode_texts(self, token_ids, padding_mask=None, training=False):
        token_ids = ops.take(ops.convert_to_tensor(self.order), token_ids)
        return self.inner.encode_texts(token_ids, padding_mask, training=training)


def test_tokens_of_another_vocabulary_go_through_the_string(model, split):
    other = Renumbered(model)
    encoded = EncodedSplit(model, split, **SETTINGS)
    found = encode_attacked(encoded, "texts", TokenSubstitution(1, 8))
    inputs = _translate(found, encoded, other)["texts"]
    assert np.any(inputs["token_ids"] != found["adversarial_token_ids"])
    embeddings = encode_inputs(other, "texts", inputs, 4)
    np.testing.assert_allclose(embeddings, found["embeddings"], atol=1e-5)


@pytest.mark.skipif(keras.config.backend() != "torch", reason="Elsewhere it takes minutes.")
def test_a_joint_attack_on_the_diagonal_is_the_protocol_both(models, split):
    parts = PGD(0.2, 2, seed=0), TokenSubstitution(1, 4)
    attack = joint.build("set_guidance", *parts)
    matrix = transfer_matrix(models, split, attack, **SETTINGS)
    assert list(matrix["directions"]) == ["image_to_text", "text_to_image"]
    threat = Threat(*parts, protocol=protocols.Both("set_guidance"))
    for place, model in enumerate(models.values()):
        report = evaluate(model, split, {"sga": threat}, **SETTINGS)
        own = report["attacks"]["sga"]
        for direction, figures in matrix["directions"].items():
            expected = own[direction]["recall_at_1"]
            assert figures["recall"][place][place] == pytest.approx(expected)
            for name in ("recall_drop", "attack_success_rate"):
                expected = own[name][direction]
                expected = expected if expected is None else pytest.approx(expected)
                assert figures[name][place][place] == expected
    recalls = [figures["recall"] for figures in matrix["directions"].values()]
    np.testing.assert_allclose(matrix["recall"], np.mean(recalls, axis=0))
    # What was found on the random model is tried on the other, images and captions both.
    assert matrix["recall"][1, 0] > matrix["recall"][0, 0]


def test_success_counts_the_queries_that_were_right():
    clean, attacked = np.array([1, 1, 3, 1]), np.array([2, 1, 1, 9])
    assert _success(clean, attacked, 1) == pytest.approx(2 / 3)
    assert _success(clean, attacked, 3) == pytest.approx(1 / 4)
    assert _success(np.array([4]), np.array([5]), 1) is None


def test_errors(models, split, preprocessor, make_model):
    with pytest.raises(ValueError, match="must be a kind of TokenAttack. Received: EmbeddingPGD"):
        transfer_matrix(models, split, EmbeddingPGD(0.1))
    with pytest.raises(ValueError, match="Received: no model"):
        transfer_matrix({}, split, PGD(0.1))
    larger = make_model()
    larger.preprocessor = Preprocessor(preprocessor.vocabulary, 6, image_size=(8, 8))
    with pytest.raises(ValueError, match=r"in one size. Received: models of \[\(4, 4\), \(8, 8\)"):
        transfer_matrix({**models, "larger": larger}, split, PGD(0.1))
