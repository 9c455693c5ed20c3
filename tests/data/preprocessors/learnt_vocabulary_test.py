import pytest

from rocmr_keras.data.preprocessors.learnt_vocabulary import SPECIAL_TOKENS
from rocmr_keras.data.preprocessors.learnt_vocabulary import learn_vocabulary


def test_hand_sized_case():
    vocabulary = learn_vocabulary(["ab ab ab", "xabc xabc"], vocabulary_size=13)
    characters = ["##b", "a", "##a", "##c", "x"]
    assert vocabulary == [*SPECIAL_TOKENS, *characters, "ab", "##ab", "##abc", "xabc"]


def test_frequent_words_are_whole_and_unseen_ones_fall_into_parts():
    captions = ["a running dog", "a jumping dog", "a running cat"] * 5
    vocabulary = learn_vocabulary(captions, vocabulary_size=60)
    assert {"dog", "running", "##ing"} <= set(vocabulary)
    assert len(vocabulary) == len(set(vocabulary)) <= 60


def test_order_of_captions_does_not_matter():
    captions = [f"word{i % 7} and thing{i % 5}, too" for i in range(50)]
    assert learn_vocabulary(captions, 80) == learn_vocabulary(captions[::-1], 80)


def test_size_is_kept():
    captions = ["the quick brown fox jumps over the lazy dog"]
    assert [len(learn_vocabulary(captions, size)) for size in (10, 40, 55)] == [10, 40, 55]


def test_case_and_odd_texts():
    assert "dog" in learn_vocabulary(["Dog DOG dog"], 20)
    assert "Dog" in learn_vocabulary(["Dog Dog", "dog"], 20, lowercase=False)
    odd = ["", "   ", "a\ud800b", "x" * 1_000_000, "\U0001f600", "שלום"]
    vocabulary = learn_vocabulary(odd, 40)
    assert "\U0001f600" in vocabulary and "ש" in vocabulary and "?" in vocabulary
    assert "x" not in vocabulary


@pytest.mark.parametrize(
    "captions, size, message",
    [
        (["a"], 4, "greater than the 4 special tokens.*vocabulary_size=4"),
        (["", " \n"], 10, "at least one word.*Received: no word"),
    ],
)
def test_mistakes(captions, size, message):
    with pytest.raises(ValueError, match=message):
        learn_vocabulary(captions, size)
