import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import Goal
from rocmr_keras.attacks import NearestNeighbors
from rocmr_keras.attacks import QueryEncoder
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.attacks import Vocabulary
from rocmr_keras.attacks import WholeWords
from rocmr_keras.attacks.tokens.swap_scores import Swaps

# [PAD], and five words whose embeddings stand at these angles.
ANGLES = np.deg2rad([0.0, 10.0, 30.0, 60.0, 180.0])
TABLE = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1) * [[1.0], [2.0], [0.5], [3.0], [1.0]]
TABLE = np.concatenate([np.zeros((1, 2)), TABLE]).astype("float32")
ALLOWED = np.arange(6) > 0
TOKEN_IDS = np.array([[1, 2, 0], [4, 5, 0]], "int32")


def mask_of(candidates, is_whole_word=None, token_ids=TOKEN_IDS, allowed=ALLOWED, ends=False):
    vocabulary = Vocabulary(None, ops.convert_to_tensor(TABLE), allowed, is_whole_word, ends)
    mask = ops.convert_to_numpy(candidates.mask(ops.convert_to_tensor(token_ids), vocabulary))
    return np.broadcast_to(mask, (2, 3, 6)) & allowed


def neighbors(mask, token_ids=TOKEN_IDS):
    """Returns who may replace each token but itself."""
    others = mask & (np.arange(6) != token_ids[..., None])
    return [[np.flatnonzero(row).tolist() for row in rows] for rows in others]


def test_nearest_neighbors_by_cosine():
    found = neighbors(mask_of(NearestNeighbors(min_cosine=0.8)))
    # Lengths do not matter; a row of zeros has no neighbours.
    assert found == [[[2, 3], [1, 3], []], [[3], [], []]]
    assert neighbors(mask_of(NearestNeighbors(min_cosine=-1.0)))[0][0] == [2, 3, 4, 5]


def test_nearest_neighbors_by_count():
    found = neighbors(mask_of(NearestNeighbors(min_cosine=None, num_neighbors=2)))
    assert found[0][:2] == [[2, 3], [1, 3]] and found[1][:2] == [[2, 3], [3, 4]]
    both = neighbors(mask_of(NearestNeighbors(min_cosine=0.9, num_neighbors=2)))
    assert both[0][:2] == [[2], [1, 3]]
    # A token that may not be written takes no place.
    fewer = ALLOWED & (np.arange(6) != 2)
    found = mask_of(NearestNeighbors(min_cosine=None, num_neighbors=1), allowed=fewer)
    assert neighbors(found)[0][0] == [3]


def test_whole_words():
    # 2 and 5 are pieces that continue a word.
    is_whole_word = np.array([False, True, False, True, True, False])
    texts = np.array([[1, 2, 3], [4, 0, 5]], "int32")
    found = neighbors(mask_of(WholeWords(), is_whole_word, texts), texts)
    assert found == [[[], [], [1, 4]], [[1, 3], [], []]]


def test_whole_words_by_their_ends():
    is_whole_word = np.array([False, True, False, True, True, False])
    texts = np.array([[1, 2, 3], [4, 0, 5]], "int32")
    found = neighbors(mask_of(WholeWords(), is_whole_word, texts, ends=True), texts)
    # 3 ends the word that 2 begins.
    assert found == [[[3, 4], [], []], [[1, 3], [], []]]


def test_forbidden_words_are_not_written():
    is_whole_word = np.array([False, True, False, True, True, False])
    texts = np.array([[1, 0, 3], [4, 0, 0]], "int32")
    found = neighbors(mask_of(WholeWords([3]), is_whole_word, texts), texts)
    assert found == [[[4], [], [1, 4]], [[1], [], []]]


@pytest.mark.parametrize("ends", [False, True])
def test_a_mask_among_some_tokens_has_the_columns_of_the_whole(ends):
    is_whole_word = np.array([False, True, False, True, True, False])
    texts = ops.convert_to_tensor(np.array([[1, 2, 3], [4, 0, 5]], "int32"))
    vocabulary = Vocabulary(None, TABLE, ALLOWED, is_whole_word, ends)
    tokens = np.array([[4, 1, 2], [3, 3, 5]], "int32")
    for candidates in (WholeWords([3]), NearestNeighbors(min_cosine=0.3)):
        whole = ops.convert_to_numpy(candidates.mask(texts, vocabulary))
        found = candidates.mask_among(texts, ops.convert_to_tensor(tokens), vocabulary)
        expected = np.stack([row[:, few] for row, few in zip(whole, tokens, strict=True)])
        np.testing.assert_array_equal(ops.convert_to_numpy(found), expected)
        assert expected.any() and not expected.all()


def test_masks_narrow_the_gains():
    swaps = Swaps(
        ops.convert_to_tensor(TOKEN_IDS),
        ops.convert_to_tensor(TOKEN_IDS > 0),
        Vocabulary(None, ops.convert_to_tensor(TABLE), ALLOWED),
        NearestNeighbors(min_cosine=0.8),
    )
    every = ops.convert_to_tensor(np.tile(np.arange(6, dtype="int32"), (2, 1)))
    gains = swaps.gains(ops.ones((2, 3, 2)), every)
    found = ops.convert_to_numpy(gains) > -1e29
    np.testing.assert_array_equal(
        found, mask_of(NearestNeighbors(0.8)) & (np.arange(6) != TOKEN_IDS[..., None])
    )


class Strings:
    """Every third piece continues a word; the table has two rows more."""

    special_token_ids = (0, 1, 2, 3)
    whole_word_mask = (np.arange(48) > 3) & (np.arange(48) % 3 != 0)


@pytest.fixture(scope="module")
def reading_model(make_model):
    model = make_model()
    model.preprocessor = Strings()
    return model


MASKS = {"whole": WholeWords(), "near": NearestNeighbors(min_cosine=0.3, num_neighbors=4)}


@pytest.mark.parametrize("name", MASKS)
def test_candidates_in_a_compiled_step(name, reading_model, batch, gallery, gallery_ids):
    attack = TokenSubstitution(2, num_candidates=8, candidates=MASKS[name], beam_size=2)
    options = {"gallery": gallery, "gallery_ids": gallery_ids}
    encoder = QueryEncoder(reading_model, "texts", attack, "margin", **options)
    # Three of four at once: a compiled step must not need to know how many come.
    found = encoder.predict(batch, batch_size=3, verbose=0)["adversarial_token_ids"]
    clean = batch["token_ids"]
    changed = found != clean
    assert changed.any()
    if name == "whole":
        whole = np.append(Strings.whole_word_mask, [False, False])
        assert whole[clean[changed]].all() and whole[found[changed]].all()
    else:
        table = ops.convert_to_numpy(reading_model.text_encoder.embedding_table)
        rows, others = table[clean[changed]], table[found[changed]]
        lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(others, axis=1)
        assert np.all(np.sum(rows * others, axis=1) / lengths >= 0.3 - 1e-5)


def test_no_strings_is_an_error(model, batch, make_target):
    attack = TokenSubstitution(candidates=WholeWords())
    with pytest.raises(ValueError, match="Received: a vocabulary with is_whole_word=None"):
        attack.perturb(model, batch, Goal(make_target()))


def test_config(check_config):
    check_config(WholeWords())
    check_config(WholeWords([7, 9]))
    check_config(NearestNeighbors(0.3, num_neighbors=7))
    attack = TokenSubstitution(candidates=NearestNeighbors(0.3), beam_size=3, name="mine")
    check_config(attack)
    again = TokenSubstitution.from_config(attack.get_config())
    assert again.candidates.min_cosine == 0.3 and again.beam_size == 3


def test_bad_arguments():
    for build, message in (
        (lambda: NearestNeighbors(1.5), "`min_cosine` must be .*Received: min_cosine=1.5"),
        (lambda: NearestNeighbors(None), "needs a limit. Received: min_cosine=None"),
        (lambda: NearestNeighbors(0.5, 0), "`num_neighbors` must be an integer.*=0"),
        (lambda: TokenSubstitution(candidates="words"), "Received: candidates='words'"),
        (lambda: TokenSubstitution(beam_size=0), "`beam_size` must be an integer.*=0"),
    ):
        with pytest.raises(ValueError, match=message):
            build()
