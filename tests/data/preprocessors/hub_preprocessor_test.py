import io
import json

import numpy as np
import pytest

from rocmr_keras.data import HubPreprocessor
from rocmr_keras.data.runtime import tensorflow

tf = tensorflow()

MERGES = ["r e", "re d</w>", "d o", "do g</w>", "a p", "ap p", "l e</w>"]
LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]


def clip():
    import keras_hub

    letters = [*LETTERS, *"0123456789", ".", "<", "|", ">", "Ã", "©"]
    joined = ["re", "red</w>", "do", "dog</w>", "ap", "app", "le</w>"]
    marks = ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = ["!", *letters, *(letter + "</w>" for letter in letters), *joined, *marks]
    ids = {piece: index for index, piece in enumerate(vocabulary)}
    return keras_hub.models.CLIPTokenizer(ids, MERGES)


def siglip():
    import keras_hub
    import sentencepiece

    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a red dog", "a green apple", "the red dog runs"]),
        model_writer=file,
        vocab_size=14,
        model_type="WORD",
        pad_id=0,
        bos_id=-1,
        eos_id=1,
        unk_id=2,
        minloglevel=2,
        hard_vocab_limit=False,
    )
    return keras_hub.models.SigLIPTokenizer(file.getvalue())


def bert():
    import keras_hub

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "a", "red", "dog", "##s"]
    return keras_hub.models.BertTokenizer(pieces, lowercase=True)


def roberta():
    import keras_hub

    marks = ["<s>", "<pad>", "</s>", "<mask>"]
    pieces = [*marks, *LETTERS, "Ġ", "re", "red", "Ġred", "do", "dog", "Ġdog", "Ġre", "Ġd", "Ġdo"]
    merges = ["r e", "re d", "d o", "do g", "Ġ red", "Ġ dog"]
    ids = {piece: index for index, piece in enumerate(pieces)}
    return keras_hub.models.RobertaTokenizer(ids, merges)


MAKERS = {"clip": clip, "siglip": siglip, "bert": bert, "roberta": roberta}
# What "red dog" becomes.
LAYOUTS = {
    "clip": ["<|startoftext|>", "red</w>", "dog</w>", "<|endoftext|>"],
    "siglip": ["▁red", "▁dog"],
    "bert": ["[CLS]", "red", "dog", "[SEP]"],
    "roberta": ["<s>", "red", "Ġdog", "</s>"],
}


@pytest.fixture(scope="module")
def preprocessors():
    return {name: HubPreprocessor(make(), 8, (4, 4)) for name, make in MAKERS.items()}


@pytest.mark.parametrize("name", MAKERS)
def test_layout_there_and_back(preprocessors, name):
    preprocessor = preprocessors[name]
    tokens = preprocessor.tokenize(["red dog", ""])
    token_ids, mask = tokens["token_ids"], tokens["padding_mask"]
    assert token_ids.shape == mask.shape == (2, 8)
    assert token_ids.dtype == np.int32 and mask.dtype == bool
    assert preprocessor.tokens(token_ids)[0] == LAYOUTS[name]
    assert preprocessor.detokenize(token_ids) == ["red dog", ""]
    # Start and end are there, and protected, also where nothing else is.
    assert mask[1].any() and np.isin(token_ids[1], preprocessor.special_token_ids).all()
    end = token_ids[np.arange(2), mask.sum(1) - 1]
    assert (end == preprocessor.tokenizer.end_token_id).all()


def rebuilt(preprocessor):
    return HubPreprocessor.from_config(json.loads(json.dumps(preprocessor.get_config())))


@pytest.mark.parametrize("name", MAKERS)
def test_config(preprocessors, name, check_config):
    preprocessor = preprocessors[name]
    check_config(preprocessor)
    again = rebuilt(preprocessor)
    assert again.get_config() == preprocessor.get_config()
    assert again.special_token_ids == preprocessor.special_token_ids


# Tracing takes seconds, and roberta's tokenizer is of the kind of clip's.
@pytest.mark.parametrize("name", ["clip", "siglip", "bert"])
def test_a_fresh_one_is_built_while_a_pipeline_is_traced(preprocessors, name):
    texts = ["a red dog", "dog " * 20]
    expected = preprocessors[name].tokenize(texts)
    assert expected["padding_mask"][1].all()
    fresh = rebuilt(preprocessors[name])
    dataset = tf.data.Dataset.from_tensors(texts).map(fresh.tokenize_graph)
    for key, value in next(iter(dataset)).items():
        np.testing.assert_array_equal(value, expected[key])


def test_clip_folds_case_and_takes_digits_one_by_one(preprocessors):
    preprocessor = preprocessors["clip"]
    tokens = preprocessor.tokenize(["RED Dog", "red dog", "10", "É"])["token_ids"]
    np.testing.assert_array_equal(tokens[0], tokens[1])
    inner = [row[1:-1] for row in preprocessor.tokens(tokens[2:])]
    assert inner == [["1</w>", "0</w>"], ["Ã", "©</w>"]]
    assert preprocessor.detokenize(tokens[3:]) == ["é"]


def test_no_caption_can_end_itself(preprocessors):
    preprocessor = preprocessors["clip"]
    row = preprocessor.tokenize(["a<|endoftext|>"])
    ids = row["token_ids"][0][row["padding_mask"][0]]
    assert (ids[:-1] != preprocessor.tokenizer.end_token_id).all()


def test_siglip_has_no_punctuation(preprocessors):
    tokens = preprocessors["siglip"].tokenize(["A red, DOG!", "a red dog"])["token_ids"]
    np.testing.assert_array_equal(*tokens)


def test_special_tokens_and_whole_words(preprocessors):
    bert = preprocessors["bert"]
    assert bert.special_token_ids == (0, 1, 2, 3, 4, 5)
    whole = [p for p, w in zip(bert.vocabulary, bert.whole_word_mask) if w]
    assert whole == ["a", "red", "dog"]
    roberta = preprocessors["roberta"]
    whole = [p for p, w in zip(roberta.vocabulary, roberta.whole_word_mask) if w]
    # Its merges never make "Ġre", "Ġd" or "Ġdo".
    assert whole == ["Ġred", "Ġdog"]
    clip = preprocessors["clip"]
    whole = [p for p, w in zip(clip.vocabulary, clip.whole_word_mask) if w]
    assert {"red</w>", "dog</w>", "a</w>", "z</w>"} <= set(whole) and "le</w>" in whole
    assert not {"red", "re", "!", "do", "1"} & set(whole)
    assert clip.marks_word_ends and not roberta.marks_word_ends
    assert preprocessors["clip"].vocabulary_size == len(preprocessors["clip"].vocabulary)


@pytest.mark.parametrize("name", ["bert", "roberta", "clip", "siglip"])
def test_whole_words_are_read_back(name, preprocessors):
    preprocessor = preprocessors[name]
    clean = preprocessor.tokenize(["a red dog", "a dog"])["token_ids"]
    words = np.flatnonzero(preprocessor.whole_word_mask)
    place = np.flatnonzero(np.isin(clean[0], words))[-1]
    for word in words:
        changed = clean.copy()
        changed[0, place] = word
        assert preprocessor.reads_back(changed, clean).all(), preprocessor.vocabulary[word]


@pytest.mark.parametrize("name, pieces", [("clip", ["re", "d</w>"]), ("roberta", ["Ġre", "Ġdog"])])
def test_pieces_that_make_another_are_not_read_back(name, pieces, preprocessors):
    preprocessor = preprocessors[name]
    clean = preprocessor.tokenize(["a red dog"])["token_ids"]
    changed = clean.copy()
    changed[0, 2:4] = [preprocessor.vocabulary.index(piece) for piece in pieces]
    assert preprocessor.reads_back(changed, clean).tolist() == [False]


def test_images(preprocessors):
    # A wide picture, black on its left half: cropped from the centre, or squeezed.
    pixels = np.zeros((4, 8, 3), "uint8")
    pixels[:, 4:] = 255
    cropped = preprocessors["bert"].load_images([pixels])[0, 0, :, 0]
    np.testing.assert_array_equal(cropped, [0, 0, 1, 1])
    squeezed = HubPreprocessor(bert(), 8, (4, 4), crop=False, interpolation="bicubic")
    line = squeezed.load_images([pixels])[0, 0, :, 0]
    assert line[0] < 0.1 and line[3] > 0.9


def test_mistakes(preprocessors):
    with pytest.raises(ValueError, match="know every character of `texts`. Received: texts=.*☃"):
        preprocessors["clip"].tokenize(["☃"])
    with pytest.raises(ValueError, match="without an end token"):
        HubPreprocessor("tokenizer")
    with pytest.raises(ValueError, match="Received: interpolation='area'"):
        HubPreprocessor(preprocessors["bert"].tokenizer, interpolation="area")
