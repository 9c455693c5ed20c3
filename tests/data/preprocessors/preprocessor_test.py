import inspect

import numpy as np
import pytest

from rocmr_keras.data import Preprocessor
from rocmr_keras.data.runtime import tensorflow

PAD, UNK, START, END = range(4)

tf = tensorflow()


def test_layout(preprocessor):
    tokens = preprocessor.tokenize(["a red square", "something"])
    assert tokens["token_ids"].dtype == np.int32 and tokens["padding_mask"].dtype == bool
    pieces = preprocessor.vocabulary
    expected = [["a", "red", "square"], ["some", "##thing"]]
    for row, mask, names in zip(tokens["token_ids"], tokens["padding_mask"], expected):
        ids = [START, *map(pieces.index, names), END]
        np.testing.assert_array_equal(row, ids + [PAD] * (6 - len(ids)))
        np.testing.assert_array_equal(mask, np.arange(6) < len(ids))


def test_long_captions_keep_the_end(preprocessor):
    row = preprocessor.tokenize(["red " * 50])["token_ids"][0]
    assert row[0] == START and row[-1] == END and len(row) == 6


def test_case(preprocessor):
    lower, upper = preprocessor.tokenize(["a red square", "A RED Square"])["token_ids"]
    np.testing.assert_array_equal(lower, upper)
    exact = Preprocessor([*preprocessor.vocabulary, "Red"], lowercase=False)
    ids = exact.tokenize(["Red RED"])["token_ids"][0]
    assert exact.tokens([ids])[0] == ["[START]", "Red", "[UNK]", "[END]"]


@pytest.mark.parametrize(
    "text",
    ["", " \t\n", "\U0001f600", "שלום עולם", "\ud83d", "x" * 1_000_000, "\0", "[PAD] [END]", "..."],
    ids=[
        "empty",
        "blank",
        "emoji",
        "right-to-left",
        "surrogate",
        "million",
        "nul",
        "special",
        "dots",
    ],
)
def test_every_text_has_a_real_token(preprocessor, text):
    tokens = preprocessor.tokenize([text, "red"])
    row, mask = tokens["token_ids"][0], tokens["padding_mask"][0]
    inner = row[mask][1:-1]
    assert len(inner) >= 1 and not {PAD, START, END} & set(inner.tolist())


def test_one_string_and_none(preprocessor):
    assert preprocessor.tokenize("red")["token_ids"].shape == (1, 6)
    assert preprocessor.tokenize([])["token_ids"].shape == (0, 6)


def test_graph_gives_the_same_ids(preprocessor):
    texts = ["A Red Square", "", "something\u200b odd", "ＲＥＤ", "red-green", "blue." * 40]
    eager = preprocessor.tokenize(texts)
    dataset = tf.data.Dataset.from_tensor_slices(texts).batch(len(texts))
    graph = next(iter(dataset.map(preprocessor.tokenize_graph)))
    for name, value in eager.items():
        np.testing.assert_array_equal(graph[name], value)
        assert graph[name].shape == (len(texts), 6)


def test_tokenizer_may_be_built_inside_a_pipeline(preprocessor):
    # Its table would die with the graph that is being traced.
    fresh = Preprocessor(preprocessor.vocabulary)
    dataset = tf.data.Dataset.from_tensors(["red"]).map(fresh.tokenize_graph)
    row = next(iter(dataset))["token_ids"]
    np.testing.assert_array_equal(row, fresh.tokenize(["red"])["token_ids"])


def test_back_to_text(preprocessor):
    tokens = preprocessor.tokenize(["Something red", "a banana"])
    assert preprocessor.detokenize(tokens["token_ids"]) == ["something red", "a [UNK]"]
    pieces = preprocessor.tokens(tokens["token_ids"])
    assert pieces[0] == ["[START]", "some", "##thing", "red", "[END]"]


def test_special_tokens_and_whole_words(preprocessor):
    assert preprocessor.special_token_ids == (PAD, UNK, START, END)
    whole = [p for p, w in zip(preprocessor.vocabulary, preprocessor.whole_word_mask) if w]
    assert whole == ["red", "green", "blue", "white", "a", "some", "square", "re"]
    assert preprocessor.vocabulary_size == 14


def test_vocabulary_of_bert():
    pieces = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[", "red"]
    bert = Preprocessor(pieces, strip_accents=True)
    # An attack must not write what no text ever has.
    assert bert.special_token_ids == (0, 2, 3, 4, 1, 5)
    assert bert.tokens(bert.tokenize("Réd")["token_ids"]) == [["[CLS]", "red", "[SEP]"]]
    assert bert.whole_word_mask.tolist() == [False] * 6 + [True] * 2


ODD = ["Red", "red", "日本", "日", "é", "e\u0301a", "ﬁx", "fix", "ab-c", "-", "3rd", "°", "ß", "ss"]


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("strip_accents", [True, False])
def test_whole_words_are_read_as_such(lowercase, strip_accents):
    options = {"lowercase": lowercase, "strip_accents": strip_accents}
    odd = Preprocessor(["[PAD]", "[UNK]", "[START]", "[END]", *ODD, "##s"], **options)
    tokens = odd.tokenize([f"red {piece} red" for piece in odd.vocabulary])["token_ids"]
    red = odd.vocabulary.index("red")
    survives = [row[:5] == [2, red, index, red, 3] for index, row in enumerate(tokens.tolist())]
    # What is a word for the tokenizer is one here, and nothing else is.
    np.testing.assert_array_equal(odd.whole_word_mask, survives)


def test_reading_back(preprocessor):
    clean = preprocessor.tokenize(["a red square", "a banana red", "red " * 9])["token_ids"]
    changed = clean.copy()
    ids = {piece: index for index, piece in enumerate(preprocessor.vocabulary)}
    changed[0, 2], changed[1, 3], changed[2, 1] = ids["blue"], ids["white"], ids["a"]
    assert preprocessor.reads_back(changed, clean).tolist() == [True] * 3
    # "re" and "##d" make "red", which is a piece. What is lost of "banana" anyway does not count.
    changed[:2, 1], changed[0, 2], changed[1, 3] = ids["re"], ids["##d"], ids["##d"]
    assert preprocessor.reads_back(changed, clean).tolist() == [False, False, True]
    assert preprocessor.reads_back(clean, clean).all()


def test_from_captions():
    made = Preprocessor.from_captions(["a red apple"] * 3, 40, sequence_length=8, image_size=(4, 6))
    assert made.detokenize(made.tokenize("A red apple")["token_ids"]) == ["a red apple"]
    assert (made.sequence_length, made.image_size) == (8, (4, 6))


def test_config_has_every_argument(preprocessor, check_config):
    arguments = list(inspect.signature(Preprocessor.__init__).parameters)[1:]
    assert sorted(preprocessor.get_config()) == sorted(arguments)
    check_config(preprocessor)


def test_load_images_takes_paths_bytes_and_arrays(preprocessor, save):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype="uint8")
    path = save("noise.png", pixels)
    with open(path, "rb") as file:
        contents = file.read()
    loaded = preprocessor.load_images([path, contents, pixels, pixels / np.float32(255)])
    assert loaded.shape == (4, 4, 4, 3) and loaded.dtype == np.float32
    for other in loaded[1:]:
        np.testing.assert_array_equal(other, loaded[0])
    np.testing.assert_allclose(np.round(loaded * 255) / 255, loaded, rtol=1e-6)
    assert preprocessor.load_images([]).shape == (0, 4, 4, 3)


def test_images_of_the_right_size_are_not_touched(preprocessor):
    pixels = np.random.default_rng(1).integers(0, 256, (2, 4, 4, 3), dtype="uint8")
    loaded = preprocessor.load_images(pixels)
    np.testing.assert_array_equal(np.round(loaded * 255), pixels)


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4)), np.full((4, 4, 3), 200), np.full((4, 4, 3), 1.5)]
)
def test_pixels_of_another_kind(preprocessor, pixels):
    with pytest.raises(ValueError, match="An array of `images` must"):
        preprocessor.load_images([pixels])


def test_unreadable_image_is_named(preprocessor, tmp_path):
    with pytest.raises(ValueError, match="Received: '.*none.png': no such file"):
        preprocessor.load_images([str(tmp_path / "none.png")])
    with pytest.raises(ValueError, match="Received: 5 bytes: not a JPEG"):
        preprocessor.load_images([b"hello"])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"vocabulary": ["[PAD]", "[START]", "[END]"]}, r"special tokens.*without \[UNK\]"),
        ({"vocabulary": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "a"]}, "twice.*5 of them"),
        ({"sequence_length": 2}, "at least 3.*sequence_length=2"),
        ({"image_size": (0, 4)}, r"two positive ints.*image_size=\(0, 4\)"),
        ({"image_size": (4,)}, "two positive ints"),
    ],
)
def test_mistakes(preprocessor, arguments, message):
    with pytest.raises(ValueError, match=message):
        Preprocessor(**{"vocabulary": preprocessor.vocabulary, **arguments})
