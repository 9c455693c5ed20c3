import keras
import numpy as np
import pytest

from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.attacks import WholeWords
from rocmr_keras.data import Preprocessor
from rocmr_keras.evaluation import EncodedSplit
from rocmr_keras.evaluation import encode_attacked

pytestmark = pytest.mark.usefixtures("eagerly")


class Careless(Preprocessor):
    """Takes every piece for a word, also capitals, which its tokenizer folds."""

    @property
    def whole_word_mask(self):
        return np.arange(self.vocabulary_size) > 3


@pytest.fixture(scope="module")
def careless(make_model, split, preprocessor):
    """A world in which magenta, the opposite of green, is written "Magenta" in the vocabulary."""
    model = make_model()
    pieces = [piece.replace("magenta", "Magenta") for piece in preprocessor.vocabulary]
    model.preprocessor = Careless(pieces, sequence_length=6, image_size=(4, 4))
    return EncodedSplit(model, split, batch_size=10, verbose=0)


def attack_texts(encoded, *forbidden, **options):
    attack = TokenSubstitution(1, 16, candidates=WholeWords(forbidden))
    return encode_attacked(encoded, "texts", attack, "margin", **options)


def test_what_is_read_as_another_text_is_replaced_by_the_next_best(careless):
    magenta = careless.model.preprocessor.vocabulary.index("Magenta")
    attack = TokenSubstitution(1, 16)
    free = encode_attacked(careless, "texts", attack, "margin")["adversarial_token_ids"]
    found = attack_texts(careless)
    written = found["adversarial_token_ids"]
    wrong = np.any(free == magenta, axis=1)
    assert wrong.any() and not wrong.all() and not np.any(written == magenta)
    np.testing.assert_array_equal(written[~wrong], free[~wrong])
    expected = attack_texts(careless, magenta)
    np.testing.assert_array_equal(written, expected["adversarial_token_ids"])
    np.testing.assert_allclose(found["embeddings"], expected["embeddings"], atol=1e-5)
    again = careless.model.encode_texts(written, np.asarray(written) != 0)
    np.testing.assert_allclose(found["embeddings"], keras.ops.convert_to_numpy(again), atol=1e-5)


def test_some_queries_and_no_inputs(careless):
    every = attack_texts(careless)
    some = attack_texts(careless, queries=[6, 1], keep_inputs=False)
    assert set(some) == {"embeddings", "stalled_share"}
    np.testing.assert_allclose(some["embeddings"], every["embeddings"][[6, 1]], atol=1e-5)


class Unreadable(Careless):
    """Nothing that was changed is read as it was written."""

    def reads_back(self, token_ids, clean_token_ids):
        return np.all(token_ids == clean_token_ids, axis=1)


def test_where_nothing_can_be_read_the_caption_stays(make_model, split, preprocessor):
    model = make_model()
    model.preprocessor = Unreadable(preprocessor.vocabulary, 6, (4, 4))
    encoded = EncodedSplit(model, split, batch_size=10, verbose=0)
    found = attack_texts(encoded)
    np.testing.assert_array_equal(found["adversarial_token_ids"], encoded.split.tokens["token_ids"])
    np.testing.assert_array_equal(found["embeddings"], encoded.clean.texts)
