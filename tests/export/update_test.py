"""What lies in an artefact, and what cannot be the version after it; `serving` makes one."""

import json
import shutil

import keras
import numpy as np
import pytest

from rocmr_keras.data import Preprocessor
from rocmr_keras.export import export_update
from rocmr_keras.export import read_gallery
from rocmr_keras.export import verify
from rocmr_keras.models import DualEncoder


@pytest.fixture
def copy(artefact, tmp_path):
    return shutil.copytree(artefact, tmp_path / "base" / "7")


def test_the_gallery_is_read_as_it_was_exported(artefact, gallery):
    found = read_gallery(artefact)
    np.testing.assert_array_equal(found.vectors, gallery.vectors)
    np.testing.assert_array_equal(found.ids, gallery.ids)
    assert found.names == gallery.names


def test_a_gallery_must_be_there_and_whole(copy):
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "gallery": None}))
    with pytest.raises(ValueError, match="must have a gallery. Received: path=.*/7' without one"):
        read_gallery(copy)
    (copy / "fingerprint.pb").unlink()
    with pytest.raises(ValueError, match="fingerprint.pb is missing"):
        read_gallery(copy)


def test_another_model(model, copy, gallery):
    weight = model.image_encoder.trainable_variables[-1]
    before = keras.ops.convert_to_numpy(weight).copy()
    weight.assign(1.01 * before + 0.01)
    try:
        with pytest.raises(ValueError, match="the one that was exported.* embeddings that differ"):
            export_update(model, copy, gallery)
    finally:
        weight.assign(before)
    words = [*model.preprocessor.vocabulary[:-1], "e"]
    preprocessor = Preprocessor(words, sequence_length=6, image_size=(8, 12))
    other = DualEncoder(model.image_encoder, model.text_encoder, preprocessor)
    with pytest.raises(ValueError, match="Received: another preprocessor"):
        export_update(other, copy, gallery)
    assert [path.name for path in copy.parent.iterdir()] == ["7"]


def test_two_updates_of_one_version(model, copy, gallery):
    """The second one would lack what the first one changed."""
    (copy.parent / "8").mkdir()
    with pytest.raises(ValueError, match="`path` must not exist. Received: path=.*/8'"):
        export_update(model, copy, gallery)
    with pytest.raises(ValueError, match="the number of a version. Received: path=.*/base'"):
        export_update(model, copy.parent, gallery)


@pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="the process of its own takes ten seconds"
)
def test_an_update_that_fails_leaves_what_was(model, copy, gallery, monkeypatch):
    def fail(*arguments):
        raise OSError("No space left on device")

    monkeypatch.setattr("rocmr_keras.files._move", fail)
    with pytest.raises(OSError, match="No space left"):
        export_update(model, copy, gallery.remove([100]))
    assert [path.name for path in copy.parent.iterdir()] == ["7"]
    assert verify(copy)["gallery"]["items"] == 40
