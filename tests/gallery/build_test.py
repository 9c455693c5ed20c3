import os

import keras
import numpy as np
import pytest
from PIL import Image

from rocmr_keras.data import Split
from rocmr_keras.gallery import build_gallery
from rocmr_keras.gallery import encoding
from rocmr_keras.gallery.finished_batches import FinishedBatches
from rocmr_keras.models import ConvolutionalImageEncoder
from rocmr_keras.models import DualEncoder
from rocmr_keras.models import TextEncoder

PIXELS = np.random.default_rng(3).integers(0, 256, (10, 8, 12, 3), dtype="uint8")


@pytest.fixture(scope="module")
def expected(model):
    images = model.preprocessor.load_images(PIXELS)
    return keras.ops.convert_to_numpy(model.encode_images(images))


@pytest.fixture
def folder(tmp_path):
    """Ten images, one of them twice, in folders."""
    for i, pixels in enumerate(PIXELS):
        path = tmp_path / "images" / f"{i % 2}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    Image.fromarray(PIXELS[0]).save(tmp_path / "images" / "z.png")
    (tmp_path / "images" / "notes.txt").write_text("no image")
    return tmp_path / "images"


def build(model, items, **options):
    return build_gallery(model, items, verbose=0, **{"batch_size": 4, **options})


def test_folder(model, folder, expected):
    gallery = build(model, folder)
    order = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]
    assert gallery.names == [f"{i % 2}/{i}.png" for i in order] + ["z.png"]
    assert gallery.ids.tolist() == list(range(11))
    np.testing.assert_allclose(gallery.vectors, expected[order + [0]], atol=1e-5)


def test_split_and_captions(model, expected):
    split = Split(PIXELS[:3], [5, 6, 6], ["a red square", "blue"], [5, 6])
    images, texts = build(model, split), build(model, split, modality="texts")
    np.testing.assert_allclose(images.vectors, expected[:3], atol=1e-5)
    assert images.ids.tolist() == [5, 6, 6] and images.names == ["a red square", "blue", "blue"]
    assert texts.ids.tolist() == [5, 6] and texts.names == split.captions
    captions = build(model, split.captions, modality="texts")
    np.testing.assert_array_equal(captions.vectors, texts.vectors)
    norms = np.linalg.norm(texts.vectors, axis=1)
    np.testing.assert_allclose(norms, 1, rtol=1e-5)


def test_killed_and_taken_up_again(model, folder, tmp_path, monkeypatch, expected):
    encode, seen = encoding.encode_items, []

    def dies_at_the_third(tower, inputs, batch_size):
        seen.append(len(inputs))
        if len(seen) == 3:
            raise KeyboardInterrupt
        return encode(tower, inputs, batch_size)

    name = "rocmr_keras.gallery.embedding.encode_items"
    monkeypatch.setattr(name, dies_at_the_third)
    chunks = tmp_path / "chunks"
    with pytest.raises(KeyboardInterrupt):
        build(model, folder, chunk_folder=chunks)
    assert len(list(chunks.glob("*.npz"))) == 2
    with pytest.raises(ValueError, match="another model, other items or another batch size"):
        build(model, folder, chunk_folder=chunks, batch_size=5)
    gallery = build(model, folder, chunk_folder=chunks)
    assert seen == [4, 4, 3, 3]
    np.testing.assert_array_equal(gallery.vectors, build(model, folder).vectors)
    assert not chunks.exists()


def test_folder_of_chunks_that_is_none(model, folder):
    with pytest.raises(ValueError, match="`chunk_folder` must be new.*holds other things"):
        build(model, folder, chunk_folder=folder)


def test_unreadable_images(model, folder):
    (folder / "1" / "3.png").write_bytes(b"garbage")
    (folder / "y.png").write_bytes(b"")
    with pytest.raises(ValueError, match="`max_bad_fraction`.*1 of 12 so far: 1/3.png: .*not a"):
        build(model, folder)
    with pytest.warns(UserWarning, match="Left out 2 unreadable images: 1/3.png.*y.png"):
        gallery = build(model, folder, max_bad_fraction=0.2)
    assert len(gallery) == 10 and gallery.names[-1] == "z.png"
    assert "1/3.png" not in gallery.names and gallery.ids.tolist()[-2:] == [9, 11]


def test_nan_is_refused_and_named(model, folder, monkeypatch):
    def broken(tower, inputs, batch_size):
        return np.where(np.arange(len(inputs)) == 1, np.nan, 1.0)[:, None].astype("float32")

    monkeypatch.setattr("rocmr_keras.gallery.embedding.encode_items", broken)
    with pytest.raises(ValueError, match="must be finite.*0/2.png.*1 of 4"):
        build(model, folder)


def test_nothing(model, tmp_path):
    for items in (tmp_path, []):
        with pytest.raises(ValueError, match="`items` must hold at least one item"):
            build(model, items)
    with pytest.raises(ValueError, match="`modality` must be.*sounds"):
        build(model, ["a"], modality="sounds")
    assert not os.listdir(tmp_path)


def test_seeds_are_no_part_of_the_model(preprocessor, tmp_path):
    """A new process draws new seeds, and goes on all the same."""
    model = DualEncoder(
        ConvolutionalImageEncoder(stage_widths=(2,), stage_depths=(1,), projection_dim=2),
        TextEncoder(preprocessor.vocabulary_size, 6, 4, 1, 2, projection_dim=2, dropout=0.5),
        preprocessor,
    )
    arguments = tmp_path / "chunks", model, PIXELS, "images", 4
    FinishedBatches(*arguments)
    weights = {id(weight) for weight in model.weights}
    seeds = [variable for variable in model.variables if id(variable) not in weights]
    assert seeds
    for seed in seeds:
        seed.assign(seed + 1)
    FinishedBatches(*arguments)
    model.weights[0].assign(model.weights[0] + 1)
    with pytest.raises(ValueError, match="the batches of another model"):
        FinishedBatches(*arguments)
