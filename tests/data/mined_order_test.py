import numpy as np
import pytest

from rocmr_keras.data import Split
from rocmr_keras.data import batches
from rocmr_keras.data.preprocessors.preprocessor import Preprocessor
from rocmr_keras.evaluation import Embeddings

CLUSTERS, EACH = 6, 4


@pytest.fixture(scope="module")
def split():
    """Images of six kinds, four of each; the first two of a kind have one id."""
    count = CLUSTERS * EACH
    ids = np.arange(count) - (np.arange(count) % EACH == 1)
    pixels = np.arange(count, dtype="uint8")[:, None, None, None].repeat(4, 1).repeat(4, 2)
    captions = [f"{id_}" for id_ in ids]
    return Split(pixels.repeat(3, 3), ids, captions, ids)


@pytest.fixture(scope="module")
def embeddings(split):
    """Kinds are far apart, images of one kind near each other."""
    draw = np.random.default_rng(0)
    centres = np.eye(CLUSTERS)[np.arange(len(split)) // EACH]
    images, texts = (centres + 0.05 * draw.normal(size=centres.shape) for _ in range(2))
    sides = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in (images, texts)]
    return Embeddings(*sides, split.image_ids, split.caption_image_ids)


@pytest.fixture(scope="module")
def make(split, embeddings):
    preprocessor = Preprocessor(["[PAD]", "[UNK]", "[START]", "[END]"], 4, (4, 4))
    dataset = batches(split, preprocessor, 3, seed=5)

    def make(group_size=3, skip_share=0.0):
        return dataset.with_hard_negatives(embeddings, group_size, skip_share)

    return make


def rows_of(dataset, epoch):
    return np.concatenate([dataset._reader.rows(epoch, step) for step in range(len(dataset))])


def test_each_image_comes_once_with_a_caption_of_its(make, split):
    for epoch in range(3):
        rows = rows_of(make(), epoch)
        assert sorted(rows[:, 0]) == list(range(len(split)))
        np.testing.assert_array_equal(
            split.image_ids[rows[:, 0]], split.caption_image_ids[rows[:, 1]]
        )


def test_similar_pairs_of_different_ids_stand_together(make, split):
    """Three of each kind fill a batch; the fourth, which has the id of one, is elsewhere."""
    full = 0
    for step in range(len(make())):
        images = make()._reader.rows(0, step)[:, 0]
        full += len(set(images // EACH)) == 1 and len(set(split.image_ids[images])) == 3
    at_random = batches(split, make()._plan.preprocessor, 3, seed=5)
    mixed = [len(set(at_random._reader.rows(0, step)[:, 0] // EACH)) for step in range(8)]
    assert full >= 4 and np.mean(mixed) > 2


def test_it_is_a_function_of_seed_and_epoch(make):
    first = rows_of(make(), 2)
    np.testing.assert_array_equal(rows_of(make(), 2), first)
    assert not np.array_equal(rows_of(make(), 3), first)


def test_the_nearest_may_be_left_out(make, embeddings):
    """A fifth of the others are more than those of the same kind."""
    order = make(skip_share=0.2)._plan.order
    rows = order.order(0)
    for group in order._groups(rows):
        kinds = rows[group, 0] // EACH
        assert (kinds[1:] != kinds[0]).all()


def test_a_fit_reads_it(make):
    dataset = make()
    ids = [batch["image_ids"] for batch in dataset]
    assert sorted(np.concatenate(ids)) == sorted(dataset._plan.split.image_ids)
    np.testing.assert_array_equal(ids[1], dataset.image_ids_at(0, 1))


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda b, e: b.with_hard_negatives(e, 1), "`group_size` must be at least 2.*size=1"),
        (lambda b, e: b.with_hard_negatives(e, 4, 1.0), "in .0, 1.. Received: .*share=1.0"),
        (
            lambda b, e: b.with_hard_negatives(Embeddings(e.images[1:], e.texts, [], [])),
            "a row for each image and caption .*Received: 23 and 24 rows for <Split",
        ),
        (
            lambda b, e: b.with_hard_negatives(e).with_hard_negatives(e),
            "of a split that is shuffled, once.",
        ),
    ],
)
def test_mistakes(change, message, make, embeddings, split):
    dataset = batches(split, make()._plan.preprocessor, 3)
    with pytest.raises(ValueError, match=message):
        change(dataset, embeddings)
    with pytest.raises(ValueError, match="shuffled"):
        batches(split, make()._plan.preprocessor, 3, shuffle=False).with_hard_negatives(embeddings)
