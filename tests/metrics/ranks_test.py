import numpy as np
import pytest

from rocmr_keras.metrics import ranks
from rocmr_keras.metrics.rank_counting import TIE_TOLERANCE

pytestmark = pytest.mark.processor


def naive_ranks(queries, gallery, query_ids, gallery_ids):
    """The definition, on the full matrix of exactly rounded scores, one query at a time."""
    queries, gallery = np.asarray(queries, np.float64), np.asarray(gallery, np.float64)
    largest = np.linalg.norm(gallery, axis=1).max()
    result = []
    for query, query_id in zip(queries, query_ids, strict=True):
        scores = np.sum(query * gallery, axis=1)
        match = np.asarray(gallery_ids) == query_id
        tolerance = TIE_TOLERANCE * np.linalg.norm(query) * largest
        ahead = ~match & (scores >= scores[match].max() - tolerance)
        result.append(1 + np.count_nonzero(ahead))
    return np.array(result)


def unit(embeddings):
    return embeddings / np.linalg.norm(embeddings, axis=-1, keepdims=True)


def random_case(kind, seed):
    """Shuffled ids with one to many items each; the galleries also have distractors."""
    rng = np.random.default_rng(seed)
    query_ids = rng.permutation(np.concatenate([np.arange(20), rng.integers(0, 20, 17)])) * 3
    gallery_ids = rng.permutation(np.concatenate([np.arange(20), rng.integers(0, 20, 71)])) * 3
    gallery_ids = np.concatenate([gallery_ids, [1, -5, 10**9]])
    shapes = (len(query_ids), 24), (len(gallery_ids), 24)
    if kind == "small integers":
        queries, gallery = (rng.integers(-1, 2, shape).astype("float32") for shape in shapes)
    elif kind == "duplicates":
        base = unit(rng.standard_normal((5, 24))).astype("float32")
        queries, gallery = (base[rng.integers(0, 5, shape[0])] for shape in shapes)
    elif kind == "aligned":
        concepts = rng.standard_normal((20, 24))
        queries, gallery = (rng.standard_normal(shape) for shape in shapes)
        queries = unit(queries + concepts[query_ids // 3])
        gallery[:-3] += concepts[gallery_ids[:-3] // 3]
        gallery = unit(gallery)
    else:
        queries, gallery = (1e4 * rng.standard_normal(shape) for shape in shapes)
    return queries, gallery, query_ids, gallery_ids


@pytest.mark.parametrize("block_size", [1, 7, 1024])
@pytest.mark.parametrize("kind", ["small integers", "duplicates", "aligned", "not normalised"])
def test_equals_the_naive_full_matrix(kind, block_size):
    for seed in range(3):
        case = random_case(kind, seed)
        result = ranks.query_ranks(*case, block_size=block_size)
        np.testing.assert_array_equal(result, naive_ranks(*case))


@pytest.mark.parametrize("kind", ["small integers", "duplicates", "aligned"])
def test_both_directions_equal_the_naive_full_matrix(kind):
    images, texts, image_ids, text_ids = random_case(kind, seed=3)
    texts, text_ids = texts[:-3], text_ids[:-3]
    for block_size in (5, 64):
        result = ranks.cross_modal_ranks(images, texts, image_ids, text_ids, block_size=block_size)
        forward = naive_ranks(images, texts, image_ids, text_ids)
        backward = naive_ranks(texts, images, text_ids, image_ids)
        np.testing.assert_array_equal(result["image_to_text"], forward)
        np.testing.assert_array_equal(result["text_to_image"], backward)


def test_five_captions_an_image_in_several_blocks():
    rng = np.random.default_rng(0)
    images = unit(rng.standard_normal((60, 48))).astype("float32")
    texts = unit(np.repeat(images, 5, axis=0) + 0.25 * rng.standard_normal((300, 48)))
    image_ids, text_ids = np.arange(60), np.repeat(np.arange(60), 5)
    result = ranks.cross_modal_ranks(images, texts, image_ids, text_ids, block_size=37)
    expected = naive_ranks(images, texts, image_ids, text_ids)
    np.testing.assert_array_equal(result["image_to_text"], expected)
    expected = naive_ranks(texts, images, text_ids, image_ids)
    np.testing.assert_array_equal(result["text_to_image"], expected)
    assert 0.3 < ranks.recall_at_k(result["text_to_image"], 1) < 1.0


def test_hand_sized_case():
    queries = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    gallery = [[3.0, 0.0], [2.0, 5.0], [2.0, 1.0], [0.0, 4.0]]
    # Scores 3 2 2 0; 0 5 1 4; 3 7 3 4. The first query's match (2) ties with a stranger.
    result = ranks.query_ranks(queries, gallery, [5, 6, 7], [6, 5, 7, 6])
    assert result.dtype == np.int64
    np.testing.assert_array_equal(result, [3, 2, 4])


def test_matches_never_count_against_each_other():
    gallery = [[0.9, 0.0], [0.8, 0.0], [0.8, 0.1], [0.7, 0.0]]
    np.testing.assert_array_equal(ranks.query_ranks([[1.0, 0.0]], gallery, [1], [1, 1, 1, 1]), [1])
    np.testing.assert_array_equal(ranks.query_ranks([[1.0, 0.0]], gallery, [1], [2, 1, 1, 1]), [2])


def test_ties_are_pessimistic_up_to_the_tolerance():
    def rank(offset):
        gallery = np.array([[1.0 - offset, 0.0], [1.0, 0.0]])
        return ranks.query_ranks([[1.0, 0.0]], gallery, [0], [9, 0])[0]

    assert rank(0.0) == 2
    assert rank(5e-7) == 2
    assert rank(2e-6) == 1


@pytest.mark.parametrize("width", [1, 33, 512])
@pytest.mark.parametrize("noise", [0.0, 1e-8])
def test_collapsed_encoder_gets_the_worst_rank(width, noise):
    rng = np.random.default_rng(width)
    point = unit(rng.uniform(0.5, 1.0, width))
    images = (point + noise * rng.standard_normal((41, width))).astype("float32")
    texts = (point + noise * rng.standard_normal((203, width))).astype("float32")
    image_ids, text_ids = np.arange(41), np.arange(203) % 41
    for block_size in (16, 100):
        result = ranks.cross_modal_ranks(images, texts, image_ids, text_ids, block_size=block_size)
        worst = 203 - np.bincount(text_ids) + 1
        np.testing.assert_array_equal(result["image_to_text"], worst)
        np.testing.assert_array_equal(result["text_to_image"], 41)


def test_collapse_that_float32_sums_would_hide():
    # At this width float32 products of one and the same pair differ by more than the tolerance.
    images, texts = (np.full((count, 50_000), 50_000**-0.5, "float32") for count in (3, 6))
    for block_size in (1, 2, 6):
        result = ranks.cross_modal_ranks(
            images, texts, np.arange(3), np.arange(6) // 2, block_size=block_size
        )
        np.testing.assert_array_equal(result["image_to_text"], 5)
        np.testing.assert_array_equal(result["text_to_image"], 3)


def test_zero_embeddings_get_the_worst_rank():
    zeros = np.zeros((4, 3), "float32")
    result = ranks.cross_modal_ranks(zeros, zeros, np.arange(4), np.arange(4))
    np.testing.assert_array_equal(result["image_to_text"], 4)


def test_scores_that_only_float64_can_tell_apart():
    # Differences of 3e-6 at a width where float32 may err by 1e-4, and rows of mixed norms.
    rng = np.random.default_rng(1)
    base = np.full(2048, 2048**-0.5)
    side = rng.standard_normal((30, 2048))
    side = unit(side - (side @ base)[:, None] * base)
    cosine = 1.0 - 3e-6 * rng.permutation(30)[:, None]
    gallery = cosine * base + np.sqrt(1.0 - cosine**2) * side
    queries = np.stack([base, 1e-3 * base, 1e3 * base])
    query_ids, gallery_ids = [3, 11, 20], np.arange(30)
    expected = 1 + np.round((1.0 - cosine[query_ids, 0]) / 3e-6)
    for block_size in (4, 30):
        result = ranks.query_ranks(queries, gallery, query_ids, gallery_ids, block_size)
        np.testing.assert_array_equal(result, expected)


def test_scaling_either_side_changes_nothing():
    queries, gallery, query_ids, gallery_ids = random_case("aligned", seed=5)
    expected = ranks.query_ranks(queries, gallery, query_ids, gallery_ids)
    result = ranks.query_ranks(1e-12 * queries, 1e12 * gallery, query_ids, gallery_ids)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8"])
def test_number_types(dtype):
    queries, gallery, query_ids, gallery_ids = random_case("small integers", seed=6)
    expected = naive_ranks(queries, gallery, query_ids, gallery_ids)
    result = ranks.query_ranks(
        queries.astype(dtype), gallery.astype(dtype), query_ids, gallery_ids.astype("int32")
    )
    np.testing.assert_array_equal(result, expected)


def test_no_queries_have_no_ranks():
    result = ranks.query_ranks(np.zeros((0, 2)), [[1.0, 0.0]], [], [4])
    assert result.shape == (0,) and result.dtype == np.int64


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, 1e200])
def test_not_finite_is_an_error(value):
    bad = np.ones((3, 2))
    bad[1, 0] = value
    with pytest.raises(ValueError, match="`gallery` must be finite.*Received: .*in row 1"):
        ranks.query_ranks([[1.0, 0.0]], bad, [0], [0, 1, 2])
    with pytest.raises(ValueError, match="`image_embeddings` must be finite.*in row 1"):
        ranks.cross_modal_ranks(bad, np.ones((3, 2)), [0, 1, 2], [0, 1, 2])


def test_a_query_without_match_is_named():
    gallery = np.eye(3)
    with pytest.raises(ValueError, match="`queries` must have a match .*row 2 with id 8 .*1 such"):
        ranks.query_ranks(np.eye(3), gallery, [0, 1, 8], [0, 1, 2])
    with pytest.raises(ValueError, match="`text_embeddings` must have a match .*row 0 with id 9"):
        ranks.cross_modal_ranks(np.eye(2), np.ones((3, 2)), [0, 1], [9, 1, 0])


def test_wrong_shapes_and_types():
    square = np.eye(2)
    with pytest.raises(ValueError, match="`gallery` must not be empty"):
        ranks.query_ranks(square, np.zeros((0, 2)), [0, 1], [])
    with pytest.raises(ValueError, match=r"`query_ids` must be .*shape \(3,\).*for 2 rows"):
        ranks.query_ranks(square, square, [0, 1, 2], [0, 1])
    with pytest.raises(ValueError, match="`gallery_ids` must be whole numbers.*float64"):
        ranks.query_ranks(square, square, [0, 1], [0.0, 1.0])
    with pytest.raises(ValueError, match=r"`queries` must be a real array.*\(2,\)"):
        ranks.query_ranks([1.0, 0.0], square, [0, 1], [0, 1])
    with pytest.raises(ValueError, match="`queries` must be a real array.*complex"):
        ranks.query_ranks(square * 1j, square, [0, 1], [0, 1])
    with pytest.raises(ValueError, match="same width. Received: 2 and 3"):
        ranks.query_ranks(square, np.ones((2, 3)), [0, 1], [0, 1])
    for block_size in (0, 70000, 2.5, True):
        with pytest.raises(ValueError, match="`block_size` must be .* Received: block_size="):
            ranks.query_ranks(square, square, [0, 1], [0, 1], block_size=block_size)


def test_recall_and_summary():
    summary = ranks.summarize(np.array([1, 1, 2, 5, 6, 10, 11, 40]))
    assert summary == {
        "recall_at_1": 0.25,
        "recall_at_5": 0.5,
        "recall_at_10": 0.75,
        "median_rank": 5.5,
        "mean_rank": 9.5,
        "count": 8,
    }
    assert ranks.recall_at_k([1, 2, 3, 4], 3) == 0.75


@pytest.mark.parametrize("bad", [[], [0, 1], [1.0, 2.0], [[1, 2]]])
def test_wrong_ranks(bad):
    with pytest.raises(ValueError, match="`ranks` must be a non-empty vector.*Received"):
        ranks.summarize(np.array(bad))


@pytest.mark.parametrize("k", [0, -1, 1.5, True])
def test_wrong_k(k):
    with pytest.raises(ValueError, match="`k` must be a positive integer. Received: k="):
        ranks.recall_at_k([1, 2], k)
