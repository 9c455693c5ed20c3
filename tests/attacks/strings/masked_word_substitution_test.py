import json

import keras
import numpy as np
import pytest

from rocmr_keras.attacks import MaskedWordSubstitution
from rocmr_keras.attacks.strings.masked_word_substitution import Draft

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]"]
WORDS = ["a", "red", "green", "cat", "dog", "tree", "house", "car"]
PIECES = ["##s", "##ing", ".", ",", "!"]
VOCABULARY = [*SPECIAL, *WORDS, *PIECES]
LENGTH = 10


@pytest.fixture(scope="module")
def masked_lm():
    """A language model of random weights, large enough for its answers to differ."""
    import keras_hub

    tokenizer = keras_hub.models.BertTokenizer(VOCABULARY, lowercase=True)
    preprocessor = keras_hub.models.BertMaskedLMPreprocessor(tokenizer, sequence_length=LENGTH)
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=len(VOCABULARY),
        num_layers=1,
        num_heads=1,
        hidden_dim=16,
        intermediate_dim=16,
        max_sequence_length=LENGTH,
        dropout=0.0,
    )
    masked_lm = keras_hub.models.BertMaskedLM(backbone, preprocessor)
    random = np.random.RandomState(0)
    for weight in masked_lm.weights:
        if len(weight.shape) >= 2:
            weight.assign(random.normal(size=weight.shape))
    return masked_lm


@pytest.fixture(scope="module")
def build(masked_lm):
    def build(**options):
        return MaskedWordSubstitution(masked_lm, **{"batch_size": 4, **options})

    return build


@pytest.fixture(scope="module")
def attack(build):
    return build(num_candidates=3)


def length(strings, owners=None):
    return np.array([len(string) for string in strings], "float32")


def ids(*pieces):
    row = [VOCABULARY.index(piece) for piece in pieces]
    return row + [0] * (LENGTH - len(row))


def test_the_whole_word_is_one_mask_at_its_own_place(attack):
    gaps = [Draft("A red cat.").gap(3), Draft("catsing, a dog").gap(1), Draft("dog").gap(1)]
    assert gaps[1] == ("", ", a dog", "catsing")
    found = attack._masked_words.features(gaps)
    expected = [
        ids("[CLS]", "a", "[MASK]", "cat", ".", "[SEP]"),
        ids("[CLS]", "[MASK]", ",", "a", "dog", "[SEP]"),
        ids("[CLS]", "[MASK]", "[SEP]"),
    ]
    np.testing.assert_array_equal(found["token_ids"], expected)
    at_mask = np.take_along_axis(found["token_ids"], found["mask_positions"], axis=1)
    assert at_mask.tolist() == [[4], [4], [4]]
    np.testing.assert_array_equal(found["padding_mask"], np.array(expected) != 0)


def test_a_long_text_is_cut_to_a_window_around_the_mask(attack):
    long = " ".join(["red"] * 20)
    gaps = [(f"{long} ", " cat", "x"), ("cat ", f" {long}", "x"), (f"{long} ", f" {long}", "x")]
    found = attack._masked_words.features(gaps)
    red = ["red"] * 10
    expected = [
        ids("[CLS]", *red[:6], "[MASK]", "cat", "[SEP]"),
        ids("[CLS]", "cat", "[MASK]", *red[:6], "[SEP]"),
        ids("[CLS]", *red[:3], "[MASK]", *red[:4], "[SEP]"),
    ]
    np.testing.assert_array_equal(found["token_ids"], expected)


def test_suggestions_are_the_answer_at_the_mask(attack, masked_lm):
    """The answer at the mask and the one a token earlier differ, and ours is the former."""
    words = attack._masked_words
    gaps = [("a ", " cat.", "red"), ("the dog ", "", "cats"), ("", " tree", "A")]
    features = words.features(gaps)
    model = keras.Model(masked_lm.input, masked_lm.output)
    answers = []
    for shift in (0, 1):
        moved = {**features, "mask_positions": features["mask_positions"] - shift}
        scores = model.predict_on_batch(moved)[:, 0]
        answers.append(
            [
                [
                    VOCABULARY[index]
                    for index in np.argsort(-row)
                    if VOCABULARY[index] in WORDS and VOCABULARY[index] != gap[2].lower()
                ][:3]
                for row, gap in zip(scores, gaps)
            ]
        )
    assert words.suggest(gaps, 3) == answers[0]
    assert answers[0] != answers[1]


def test_only_whole_words_are_suggested(attack):
    (suggestions,) = attack._masked_words.suggest([("a ", " cat", "RED")], 100)
    assert sorted(suggestions) == sorted(set(WORDS) - {"red"})
    assert attack._masked_words.suggest([], 3) == []


def test_the_model_is_called_with_one_shape(build):
    words = build(batch_size=4)._masked_words
    shapes, predict = [], words.model.predict_on_batch

    def watching(batch):
        shapes.append(batch["token_ids"].shape)
        return predict(batch)

    words.model.predict_on_batch = watching
    gaps = [("a " * n, " cat", "red") for n in range(6)]
    together = words.suggest(gaps, 3)
    assert shapes == [(4, LENGTH)] * 2
    assert [words.suggest([gap], 3)[0] for gap in gaps] == together


def test_the_best_suggestion_is_written(attack):
    captions = ["A red cat.", "", "dogs", "!?"]
    found = attack(captions, length)
    assert found[1] == "" and found[3] == "!?"
    for caption, text in zip(captions[::2], found[::2]):
        draft = Draft(caption)
        texts = [caption]
        for place in draft.open:
            (words,) = attack._masked_words.suggest([draft.gap(place)], 3)
            texts += [draft.text(place, word) for word in words]
        assert len(text) == max(map(len, texts))
    assert len(found[0]) > len(captions[0])


def test_words_are_replaced_once_and_no_more_than_asked(build):
    caption = "a cat, a dog!"
    for num_substitutions in (1, 2, 9):
        (found,) = build(num_substitutions=num_substitutions)([caption], length)
        before, after = Draft(caption), Draft(found)
        assert len(before.open) == len(after.open) == 4
        changed = [p for p in before.open if before.gap(p)[2] != after.gap(p)[2]]
        assert len(changed) == min(num_substitutions, 4)


def test_words_are_ranked_by_what_their_absence_does(build):
    tried = []

    def score(strings, owners):
        tried.append(list(strings))
        return np.array([10.0 - 5.0 * ("dog" in string) for string in strings])

    build(num_positions=1, num_candidates=2)(["a red dog"], score)
    clean, probes, candidates = tried
    assert clean == ["a red dog"] and probes == [" red dog", "a  dog", "a red "]
    assert len(candidates) == 2 and all(text.startswith("a red ") for text in candidates)


def test_all_captions_are_scored_at_once(build):
    calls = []

    def score(strings, owners):
        calls.append(sorted(set(owners)))
        return length(strings)

    build(num_substitutions=2, num_positions=1)(["a red cat", "  ", "red trees"], score)
    # The captions, then words and candidates of two rounds; one word left is not ranked.
    assert calls == [[0, 2]] * 3 + [[0], [0, 2]]


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, -1.0])
def test_only_a_finite_higher_score_wins(attack, value):
    captions = ["a red cat", "dog"]

    def score(strings, owners):
        return np.array([0.0 if s == captions[o] else value for s, o in zip(strings, owners)])

    assert attack(captions, score) == captions


def test_draft():
    draft = Draft("Isn't it, a red-hot cat?")
    words = [draft.gap(place)[2] for place in draft.open]
    assert words == ["Isn't", "it", "a", "red", "hot", "cat"]
    assert draft.gap(3) == ("Isn't ", ", a red-hot cat?", "it")
    assert draft.text(3, "she") == "Isn't she, a red-hot cat?"
    draft.write(3, "he")
    assert draft.text(1, "Is") == "Is he, a red-hot cat?" and 3 not in draft.open


def test_config(attack, masked_lm, check_config):
    check_config(attack)
    with pytest.raises(AttributeError, match="cannot be changed.*num_candidates=1"):
        attack.num_candidates = 1
    described = attack.describe()
    assert described["masked_lm"] == f"BertMaskedLM, {masked_lm.count_params()} parameters"
    json.dumps(described)
    again = MaskedWordSubstitution.from_config(attack.get_config())
    # Neither its weights nor its words are in the config: it must not run in silence.
    with pytest.raises(ValueError, match="[Vv]ocabulary"):
        again(["a cat"], length)
    assert attack.fresh().masked_lm is masked_lm


def test_bad_arguments(masked_lm, build):
    for run, message in (
        (lambda: MaskedWordSubstitution(masked_lm.backbone), "`masked_lm` must have a prepro"),
        (lambda: build(num_substitutions=0), "`num_substitutions` must be an integer.*=0"),
        (lambda: build(num_candidates=0), "`num_candidates` must be an integer.*=0"),
        (lambda: build(num_positions=0), "`num_positions` must be an integer.*=0"),
        (lambda: build(sequence_length=3), "`sequence_length` must be .* at least 4"),
        (lambda: build(batch_size=0), "`batch_size` must be an integer.*=0"),
    ):
        with pytest.raises(ValueError, match=message):
            run()
