import keras
import numpy as np
import pytest

from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.attacks import WholeWords
from rocmr_keras.data import Preprocessor
from rocmr_keras.evaluation import EncodedSplit
from rocmr_keras.evaluation import encode_attacked
from rocmr_keras.evaluation.encoding.losses import query_losses

pytestmark = pytest.mark.usefixtures("eagerly")

# All swaps, by few operations that are the same in all tests: JAX compiles each of them.
SEARCH = {"num_candidates": 60, "match_length": False, "look_ahead": False}


class Careless(Preprocessor):
    """Takes every piece for a word, also capitals, which its tokenizer folds."""

    @property
    def whole_word_mask(self):
        return np.arange(self.vocabulary_size) > 3


class Trusting(Careless):
    """Takes all that was written to be read as it was written."""

    def reads_back(self, token_ids, clean_token_ids):
        return np.ones(len(token_ids), "bool")


class Distrustful(Careless):
    """Reads nothing that was changed as it was written."""

    def reads_back(self, token_ids, clean_token_ids):
        return np.all(token_ids == clean_token_ids, axis=1)


@pytest.fixture(scope="module")
def encode(make_model, split, preprocessor):
    """A world in which magenta, the opposite of green, is written "Magenta" in the vocabulary."""

    def encode(kind):
        model = make_model()
        pieces = [piece.replace("magenta", "Magenta") for piece in preprocessor.vocabulary]
        model.preprocessor = kind(pieces, sequence_length=6, image_size=(4, 4))
        # As many as are attacked anew: one shape.
        return EncodedSplit(model, split, batch_size=2, verbose=0)

    return encode


def attack_texts(encoded, forbidden=(), **options):
    attack = TokenSubstitution(1, candidates=WholeWords(forbidden), **SEARCH)
    return encode_attacked(encoded, "texts", attack, "margin", **options)


def test_what_is_read_as_another_text_is_replaced_by_the_next_best(encode):
    careless, trusting = encode(Careless), encode(Trusting)
    magenta = careless.model.preprocessor.vocabulary.index("Magenta")
    best = attack_texts(trusting)["adversarial_token_ids"]
    found = attack_texts(careless)
    written = found["adversarial_token_ids"]
    wrong = np.any(best == magenta, axis=1)
    assert wrong.any() and not wrong.all() and not np.any(written == magenta)
    np.testing.assert_array_equal(written[~wrong], best[~wrong])
    again = careless.model.encode_texts(written, written != 0)
    np.testing.assert_allclose(found["embeddings"], keras.ops.convert_to_numpy(again), atol=1e-5)
    backwards = attack_texts(careless, queries=np.arange(10)[::-1], keep_inputs=False)
    assert set(backwards) == {"embeddings", "stalled_share"}
    # Of the losses: two words may be equally bad.
    expected = attack_texts(trusting, [magenta])["embeddings"]
    losses = [
        query_losses(careless, "text_to_image", embeddings, "margin")
        for embeddings in (expected, found["embeddings"], backwards["embeddings"][::-1])
    ]
    np.testing.assert_allclose(losses[1], losses[0], atol=1e-5)
    np.testing.assert_allclose(losses[2], losses[0], atol=1e-5)


def test_where_nothing_can_be_read_the_caption_stays(encode):
    encoded = encode(Distrustful)
    found = attack_texts(encoded)
    np.testing.assert_array_equal(found["adversarial_token_ids"], encoded.split.tokens["token_ids"])
    np.testing.assert_array_equal(found["embeddings"], encoded.clean.texts)
