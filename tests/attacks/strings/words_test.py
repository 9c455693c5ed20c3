import pytest

from rocmr_keras.attacks import frequent_words
from rocmr_keras.attacks.strings.words import WordRule
from rocmr_keras.attacks.strings.words import check_dictionary
from rocmr_keras.attacks.strings.words import pieces_of
from rocmr_keras.attacks.strings.words import word_spans


def words(text):
    return [text[a:b] for a, b in word_spans(text)]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("a red-blue cat, isn't it?", ["a", "red", "blue", "cat", "isn't", "it"]),
        ("'quoted' 'tis _under_ 3rd!", ["quoted", "tis", "under", "3rd"]),
        ("हिन्दी में café cafe\u0301", ["हिन्दी", "में", "café", "cafe\u0301"]),
        ("❤\ufe0f 🎉 猫", ["猫"]),
        (" ... ", []),
        ("", []),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


def test_pieces():
    assert pieces_of("a red, cat!") == ["", "a", " ", "red", ", ", "cat", "!"]
    assert pieces_of("!?") == ["!?"] and pieces_of("") == [""]


def test_frequent_words():
    captions = ["A red cat", "a cat, the dog", "the end"]
    assert frequent_words(captions, 3) == ("a", "cat", "the")
    assert frequent_words(captions, 4)[3] == "dog" and frequent_words([], 4) == ()


def test_a_word_of_the_dictionary_may_not_be_new():
    rule = WordRule(check_dictionary({"cat", "Hat", "at"}), "A cat sat")
    allowed = ["A cat sat", "A czat sat", "A ct sat", "A Cat sat", "A cat sa"]
    forbidden = ["A hat sat", "A c at sat", "A cat cat", "A cat sat at", "HAT"]
    assert all(rule.allows(text) for text in allowed)
    assert not any(rule.allows(text) for text in forbidden)
    assert all(WordRule(None, "A cat sat").allows(text) for text in forbidden)


@pytest.mark.parametrize("dictionary", ["cat", [], {1, 2}])
def test_bad_dictionary(dictionary):
    with pytest.raises(ValueError, match="`dictionary` must be a collection of words"):
        check_dictionary(dictionary)
