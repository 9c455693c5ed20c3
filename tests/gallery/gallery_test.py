import pathlib
import subprocess
import sys

import numpy as np
import pytest

from rocmr_keras.gallery import Gallery
from rocmr_keras.gallery import merge_top_k
from rocmr_keras.gallery import search_shards
from rocmr_keras.gallery import to_faiss
from rocmr_keras.gallery import to_usearch
from rocmr_keras.gallery.fixed_order import pair_scores

SHARD = str(pathlib.Path(__file__).with_name("shard_process.py"))


def brute_force(gallery, queries, k):
    scores = pair_scores(queries[:, None], gallery.vectors)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


@pytest.fixture
def queries():
    return np.random.default_rng(1).normal(size=(9, 8)).astype("float32")


@pytest.mark.processor
@pytest.mark.parametrize("k", [1, 5, 40, 99])
def test_search(gallery, queries, k):
    found = gallery.search(queries, k)
    rows = brute_force(gallery, queries, k)
    np.testing.assert_array_equal(found["rows"], rows)
    np.testing.assert_array_equal(found["ids"], gallery.ids[rows])
    assert found["names"][0, 0] == gallery.names[rows[0, 0]]
    assert found["scores"].dtype == np.float32 and (np.diff(found["scores"]) <= 0).all()


@pytest.mark.processor
def test_ties_go_to_the_first(gallery):
    assert gallery.search(gallery.vectors[[38]], 3)["ids"].tolist() == [[103, 107, 138]]
    assert gallery.search(gallery.vectors[[38]], 2)["ids"].tolist() == [[103, 107]]


@pytest.mark.processor
@pytest.mark.parametrize("k", [1, 5, 99])
def test_shards_are_as_good_as_one(gallery, queries, k):
    ends = [0, 3, 30, 40]
    shards = [
        Gallery(gallery.vectors[a:b], gallery.ids[a:b], gallery.names[a:b])
        for a, b in zip(ends, ends[1:])
    ]
    parts, whole = search_shards(shards, queries, k), gallery.search(queries, k)
    for name in ("ids", "rows", "names", "scores"):
        np.testing.assert_array_equal(parts[name], whole[name])


@pytest.mark.processor
def test_shards_in_two_processes_are_as_good_as_one(gallery, queries, tmp_path):
    """Items 3, 7 and 38 are one and the same: ties go over the border of the shards."""
    np.save(tmp_path / "queries.npy", np.concatenate([queries, gallery.vectors[[38]]]))
    processes = []
    for place, (first, last) in enumerate([(0, 23), (23, 40)]):
        rows = slice(first, last)
        shard = Gallery(gallery.vectors[rows], gallery.ids[rows], gallery.names[rows])
        shard.save(tmp_path / str(place))
        paths = [tmp_path / str(place), tmp_path / "queries.npy", "9", tmp_path / f"{place}.npz"]
        processes.append(subprocess.Popen([sys.executable, SHARD, *map(str, paths)]))
    assert [process.wait() for process in processes] == [0, 0]
    whole = gallery.search(np.load(tmp_path / "queries.npy"), 9)
    parts = [dict(np.load(tmp_path / f"{place}.npz")) for place in range(2)]
    merged = merge_top_k(parts, 9)
    for name in ("ids", "scores", "names"):
        np.testing.assert_array_equal(merged[name], whole[name])


def test_merge():
    parts = [
        {"ids": np.array([[1, 2]]), "scores": np.array([[0.9, 0.5]])},
        {"ids": np.array([[7, 8, 9]]), "scores": np.array([[0.95, 0.5, 0.1]])},
    ]
    assert merge_top_k(parts, 4)["ids"].tolist() == [[7, 1, 2, 8]]
    assert merge_top_k(parts, 99)["scores"].tolist() == [[0.95, 0.9, 0.5, 0.5, 0.1]]
    for wrong in ([], [parts[0], {"scores": np.zeros((1, 1))}]):
        with pytest.raises(ValueError, match="`parts` must be one or more dicts"):
            merge_top_k(wrong, 3)


@pytest.mark.processor
def test_append_and_remove_are_as_if_built_anew(gallery, queries):
    kept, gone, new = np.arange(3, 30), np.arange(3), np.arange(30, 40)
    old = Gallery(gallery.vectors[:30], gallery.ids[:30], gallery.names[:30])
    removed = old.remove(gallery.ids[gone])
    names = [gallery.names[row] for row in new]
    found = removed.append(gallery.vectors[new], gallery.ids[new], names)
    rows = np.concatenate([kept, new])
    fresh = Gallery(gallery.vectors[rows], gallery.ids[rows], [gallery.names[i] for i in rows])
    np.testing.assert_array_equal(found.vectors, fresh.vectors)
    again, expected = found.search(queries, 9), fresh.search(queries, 9)
    for name in ("ids", "rows", "names", "scores"):
        np.testing.assert_array_equal(again[name], expected[name])
    # What it was made of is as before.
    assert len(old) == 30 and len(removed) == 27
    np.testing.assert_array_equal(old.vectors, gallery.vectors[:30])


def test_captions_of_one_image_share_an_id(gallery):
    captions = Gallery(gallery.vectors[:4], [1, 1, 2, 2])
    assert captions.append(gallery.vectors[4:6], [7, 7]).ids.tolist() == [1, 1, 2, 2, 7, 7]
    assert captions.remove([1]).ids.tolist() == [2, 2]
    assert captions.append(gallery.vectors[4:5], [7]).names[-1] == "7"


@pytest.mark.parametrize(
    "ids, message",
    [
        ([7, 139], "`ids` must be new. Received: .*already: 139. .*count on from 140"),
        ([7, 7], "`ids` must all be different, .* more than once: 7. "),
    ],
)
def test_what_cannot_be_appended(gallery, ids, message):
    with pytest.raises(ValueError, match=message):
        gallery.append(gallery.vectors[:2], ids)


def test_what_cannot_be_updated(gallery):
    with pytest.raises(ValueError, match="the width of the gallery, 8. Received: .* width 2"):
        gallery.append(np.eye(2), [1, 2])
    with pytest.raises(ValueError, match="must be ids of the gallery. .* has not: 4; 5. "):
        gallery.remove([100, 5, 4])
    with pytest.raises(ValueError, match="`ids` must leave an item. Received: ids of all 40"):
        gallery.remove(gallery.ids)
    with pytest.raises(ValueError, match="flat list of whole numbers"):
        gallery.remove(["photo 0.jpg"])


def test_save_and_load(gallery, tmp_path):
    gallery.export_vectors(tmp_path / "g")
    again = Gallery.load(tmp_path / "g")
    np.testing.assert_array_equal(again.vectors, gallery.vectors)
    np.testing.assert_array_equal(again.ids, gallery.ids)
    assert again.names == gallery.names
    assert [path.name for path in tmp_path.iterdir()] == ["g"]
    with pytest.raises(ValueError, match="`path` must not exist"):
        gallery.save(tmp_path / "g")
    gallery.save(tmp_path / "g", overwrite=True)


def test_parquet(gallery, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    gallery.export_vectors(tmp_path / "g.parquet", format="parquet")
    table = parquet.read_table(tmp_path / "g.parquet")
    assert table["id"].to_pylist() == gallery.ids.tolist()
    assert table["name"].to_pylist() == gallery.names
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist(), "f4"), gallery.vectors)
    with pytest.raises(ValueError, match="`format` must be 'npy' or 'parquet'.*csv"):
        gallery.export_vectors(tmp_path / "g.csv", format="csv")


def test_engines_of_others(gallery, queries):
    expected = gallery.search(queries, 3)["scores"]
    pytest.importorskip("faiss")
    scores, _ = to_faiss(gallery).search(queries, 3)
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    pytest.importorskip("usearch")
    keys = to_usearch(gallery).search(queries, 3).keys.astype("int64")
    scores = np.einsum("nd,nkd->nk", queries, gallery.vectors[keys])
    # Approximate, though of forty vectors it sees most.
    assert np.isclose(scores[:, 0], expected[:, 0], atol=1e-5).mean() > 0.8


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((np.zeros((0, 4)),), "at least one item"),
        ((np.zeros(4),), r"float array \(items, dim\)"),
        ((np.zeros((2, 4), int),), "float array.*int64"),
        ((np.array([[1.0], [np.nan]]),), "finite.*first row 1"),
        ((np.array([[1.0], [1.1], [9.0]]),), "length 1.* 1.1 in row 1, 2 such rows. .*normalize"),
        ((np.zeros((2, 4)),), "length of 0 in row 0"),
        ((np.eye(2), [1]), r"`ids` must have one entry.*len\(ids\)=1, 2 vectors"),
        ((np.eye(2), ["a", "b"]), "`ids` must be a flat list of whole numbers"),
        ((np.eye(2), None, ["a"]), "`names` must have one entry"),
    ],
)
def test_mistakes(arguments, message):
    with pytest.raises(ValueError, match=message):
        Gallery(*arguments)


def test_mistakes_of_a_search(gallery, queries):
    with pytest.raises(ValueError, match="`k` must be 1 or more, an integer. Received: k=0"):
        gallery.search(queries, 0)
    with pytest.raises(ValueError, match=r"queries of shape \(9, 7\), shards of width \[8\]"):
        gallery.search(queries[:, :7], 1)
    with pytest.raises(ValueError, match="queries of type .*encoded first: `model.encode_texts`"):
        gallery.search(["a dog"], 1)
