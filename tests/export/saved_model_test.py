import json

import keras
import numpy as np
import pytest

from rocmr_keras.export import ExportOptions
from rocmr_keras.export import export_saved_model
from rocmr_keras.export import verify
from rocmr_keras.gallery import Gallery
from rocmr_keras.gallery import InvertedFileIndex
from rocmr_keras.models import DualEncoder


@pytest.mark.processor
def test_manifest(base, manifest, artefact):
    assert manifest == verify(artefact) == json.loads((artefact / "manifest.json").read_text())
    assert set(manifest["files"]) >= {"saved_model.pb", "variables/variables.index"}
    assert sorted(manifest["signatures"]) == [
        "embed_images",
        "embed_pixels",
        "embed_texts",
        "embed_token_ids",
        "search_by_image",
        "search_by_text",
        "serving_default",
    ]
    search = manifest["signatures"]["search_by_text"]
    assert search["inputs"] == {
        "k": {"dtype": "int32", "shape": None},
        "texts": {"dtype": "string", "shape": [None]},
    }
    assert sorted(search["outputs"]) == ["ids", "names", "scores"]
    embed = manifest["signatures"]["embed_pixels"]
    assert embed["inputs"]["pixels"] == {"dtype": "float32", "shape": [None, 8, 12, 3]}
    assert manifest["preprocessing"]["sequence_length"] == 6
    assert manifest["gallery"]["recall_at_10"] == 1.0 and manifest["gallery"]["items"] == 40
    assert manifest["flags"] == {"preset": "rocmr"}
    assert manifest["report"]["clean"]["recall_at_1"] == 0.5
    assert manifest["weights"]["largest_deviation"] < 1e-5
    assert [path.name for path in base.iterdir()] == ["1"]


@pytest.mark.skipif(
    keras.config.backend() != "tensorflow",
    reason="the process of its own, which `artefact` is made in, takes ten seconds more",
)
def test_without_strings_in_half_the_room(base, manifest, model, gallery):
    queries = gallery.vectors[:5] + 0.01
    options = ExportOptions("bfloat16", string_inputs=False)
    index = InvertedFileIndex(num_cells=5, num_probes=2)
    half = export_saved_model(model, base / "2", gallery, index, queries, options)
    assert "embed_texts" not in half["signatures"] and half["weights"]["dtype"] == "bfloat16"
    assert half["gallery"]["recall_queries"] == "5 given queries"
    assert 0.2 < half["gallery"]["recall_at_10"] <= 1
    verify(base / "2")
    # The file needs no op of tensorflow-text, not even as a dead one.
    content = (base / "2" / "saved_model.pb").read_bytes()
    assert b"WordpieceTokenize" not in content
    assert b"WordpieceTokenize" in (base / "1" / "saved_model.pb").read_bytes()
    # Rounded weights, but the same model.
    assert 1e-6 < half["weights"]["largest_deviation"] < 0.05


def test_nothing_is_overwritten(artefact, model):
    before = (artefact / "manifest.json").read_bytes()
    with pytest.raises(ValueError, match="`path` must not exist.*overwrite=True"):
        export_saved_model(model, artefact)
    assert (artefact / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"index": "hnsw"}, "`index` must be one of.*'ivf'.*hnsw"),
        ({"run": {"flag": "--preset=rocmr"}}, "`run` may hold 'flags' and 'report'.*'flag'"),
        ({"gallery": np.zeros((3, 8))}, "`gallery` must be a.*ndarray"),
        ({"queries": np.zeros((3, 8))}, "`queries` must be embeddings.*width None"),
        ({"gallery": Gallery(np.full((3, 4), 0.5))}, "the width of the model's embeddings, 8"),
    ],
)
def test_mistakes(model, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        export_saved_model(model, tmp_path / "1", **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"dtype": "float16"}, "`dtype` must be 'float32' or 'bfloat16'.*float16"),
        ({"max_pixels": 0}, "`max_pixels` must be 1 or more.*max_pixels=0"),
    ],
)
def test_options(arguments, message):
    with pytest.raises(ValueError, match=message):
        ExportOptions(**arguments)


def test_model_without_a_preprocessor(model, tmp_path):
    bare = DualEncoder(model.image_encoder, model.text_encoder)
    with pytest.raises(ValueError, match="must have a `rocmr_keras.data.Preprocessor`"):
        export_saved_model(bare, tmp_path / "1")
