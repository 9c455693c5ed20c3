import numpy as np
import pytest

from rocmr_keras.attacks import NearestNeighbors
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.attacks import WholeWords
from rocmr_keras.data import Split
from rocmr_keras.evaluation import EncodedSplit
from rocmr_keras.evaluation import encode_attacked
from rocmr_keras.evaluation import verify_token_robustness

pytestmark = pytest.mark.usefixtures("eagerly")

CAPTIONS = ["a red square", "the cyan cyan cyan thing", "zzz", "blue blue blue blue"]


@pytest.fixture(scope="module")
def small_split(split):
    """Two red images; of the captions one is unknown to the vocabulary, others repeat a colour."""
    return Split(split.images, split.image_ids, [*CAPTIONS, "green", "yellow", "new magenta"],
                 [0, 4, 2, 2, 1, 3, 5])  # fmt: skip


@pytest.fixture(scope="module")
def found(model, small_split):
    return verify_token_robustness(model, small_split, k=(1, 2, 4), batch_size=50, verbose=0)


def brute_force(model, split, query):
    """Returns the rank under each swap, a dict from position and token, in NumPy."""
    preprocessor, encoded = model.preprocessor, EncodedSplit(model, split, verbose=0)
    table = np.asarray(model.text_encoder.embedding_table, "float64")
    (row,) = preprocessor.tokenize([split.captions[query]])["token_ids"]
    right = split.image_ids == split.caption_image_ids[query]
    ranks = {}
    for position in np.flatnonzero(row > 3):
        for token in range(4, len(table)):
            swapped = row.copy()
            swapped[position] = token
            if token == row[position]:
                continue
            total = table[swapped[swapped != 0]].mean(axis=0)
            scores = encoded.clean.images @ (total / max(np.linalg.norm(total), 1e-6))
            ranks[position, token] = 1 + np.sum(scores[~right] >= scores[right].max() - 1e-6)
    return ranks


@pytest.mark.processor
def test_the_worst_swap_is_that_of_brute_force(found, model, small_split):
    clean = found["clean_ranks"]
    tried = 0
    for query in range(len(small_split.captions)):
        ranks = brute_force(model, small_split, query)
        # Those that are wrong from the start are not tried.
        tried += len(ranks) if clean[query] <= 4 else 0
        worst = max([clean[query], *ranks.values()]) if clean[query] <= 4 else clean[query]
        assert found["worst_ranks"][query] == worst, query
        swap = found["worst_positions"][query], found["worst_tokens"][query]
        assert swap == (-1, -1) if worst == clean[query] else ranks[swap] == worst
    assert found["num_swaps"] == tried and found["num_captions"] == len(small_split.captions)
    # Three times the same colour hold against one word, one does not.
    assert found["robust"][1].any() and not found["robust"][1].all()


def test_recall_is_that_of_the_ranks(found):
    for k in (1, 2, 4):
        np.testing.assert_array_equal(found["robust"][k], found["worst_ranks"] <= k)
        assert found["certified_recall"][k] == np.mean(found["worst_ranks"] <= k)
        assert found["recall"][k] == np.mean(found["clean_ranks"] <= k)
        assert found["certified_recall"][k] <= found["recall"][k]


def test_to_stop_early_changes_no_flag_and_saves_work(found, model, small_split):
    options = {"k": (1, 2, 4), "batch_size": 4, "stop_when_broken": True, "verbose": 0}
    early = verify_token_robustness(model, small_split, **options)
    for k in (1, 2, 4):
        np.testing.assert_array_equal(early["robust"][k], found["robust"][k])
    assert early["num_swaps"] < found["num_swaps"]


def test_some_captions_among_all_images(found, model, small_split):
    some = verify_token_robustness(
        model, small_split, k=(1, 2, 4), queries=[1, 4], batch_size=50, verbose=0
    )
    np.testing.assert_array_equal(some["worst_ranks"], found["worst_ranks"][[1, 4]])


@pytest.mark.parametrize("candidates", [None, WholeWords(), NearestNeighbors(0.2)])
def test_no_attack_breaks_what_is_verified(candidates, model, split):
    options = {"k": (1, 2, 3), "batch_size": 60, "verbose": 0}
    found = verify_token_robustness(model, split, candidates=candidates, **options)
    encoded = EncodedSplit(model, split, batch_size=10, verbose=0)
    # Few operations, for JAX compiles each of them.
    attack = TokenSubstitution(1, 16, candidates=candidates, match_length=False, look_ahead=False)
    texts = encode_attacked(encoded, "texts", attack, "margin")["embeddings"]
    ranks = encoded.rank("text_to_image", queries=texts).ranks
    tried = found["clean_ranks"] <= 3
    assert np.all(ranks[tried] <= found["worst_ranks"][tried])
    assert np.any(ranks > found["clean_ranks"])


def test_bad_arguments(model, split):
    with pytest.raises(ValueError, match="`k` must be an integer.*=0"):
        verify_token_robustness(model, split, k=(1, 0), verbose=0)
    with pytest.raises(ValueError, match="`queries` must name a caption. Received: queries=.."):
        verify_token_robustness(model, split, queries=[], verbose=0)
