import asyncio
import importlib.util
import pathlib
import shutil

import numpy as np
import pytest

from rocmr_keras.serving import ModelVersions
from rocmr_keras.serving import RequestError

RECIPES = pathlib.Path(__file__).parents[2] / "recipes"


def scale(servable):
    texts = np.array([b"a"], object)
    return servable.run("embed_texts", {"texts": texts})["embeddings"][0, 1]


def test_highest_version_and_hot_reload(base_path, write_toy, tmp_path):
    base = tmp_path / "models"
    shutil.copytree(base_path / "3", base / "9")
    shutil.copytree(base_path / "3", base / "03")
    (base / "notes").mkdir()
    (base / "12").mkdir()
    versions = ModelVersions("toy", base)
    before = versions.get("toy")
    assert before.version == 9
    write_toy(tmp_path / "new", scale=5.0)
    (base / "12").rmdir()
    (tmp_path / "new").rename(base / "12")
    versions.refresh()
    assert versions.get("toy").version == 12 and scale(versions.get("toy")) == 5.0
    # Requests at work go on with what they began with.
    assert scale(before) == 1.0
    with pytest.raises(RequestError, match=r"Specific\(toy, 9\).*version 12 of toy"):
        versions.get("toy", 9)


def test_takes_over_under_load(base_path, write_toy, tmp_path, run_server):
    """`serve_check.py --new_version`, small: nothing is lost, each answer is its version's."""
    shutil.copytree(base_path / "3", tmp_path / "models" / "1")
    write_toy(tmp_path / "new", scale=5.0)
    spec = importlib.util.spec_from_file_location("changeover", RECIPES / "changeover.py")
    changeover = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(changeover)
    versions = ModelVersions("toy", tmp_path / "models")
    with run_server(versions, poll_seconds=0.1) as server:
        change = changeover.Changeover(
            f"127.0.0.1:{server.port}",
            *("toy", tmp_path / "models", tmp_path / "new", "embed_texts", ["a", "bcd"]),
        )
        counts = asyncio.run(change.run(requests=300, connections=8))
    assert change.truths[1][0]["embeddings"].tolist() == [[1, 1]]
    assert change.truths[2][0]["embeddings"].tolist() == [[1, 5]]
    assert set(counts) == {"version 1", "version 2"} and sum(counts.values()) >= 300
    assert min(counts.values()) >= 100


def test_broken_version_leaves_the_one_before(base_path, tmp_path, caplog):
    shutil.copytree(base_path / "3", tmp_path / "1")
    versions = ModelVersions("toy", tmp_path)
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "saved_model.pb").write_bytes(b"\xff\xff")
    versions.refresh()
    assert versions.get("toy").version == 1 and "cannot be loaded" in caplog.text
    (broken, state, message), (whole, available, nothing) = versions.states("toy")
    assert (broken, state, whole, available) == (2, "END", 1, "AVAILABLE")
    assert message and not nothing


def test_version_that_is_refused(base_path):
    def check(path):
        raise ValueError(f"not signed: {path}")

    with pytest.raises(ValueError, match=r"Received: .*not signed: .*/3"):
        ModelVersions("toy", base_path, check)


def test_nothing_to_serve(tmp_path):
    with pytest.raises(ValueError, match="`base_path` must hold a version folder.*Received"):
        ModelVersions("toy", tmp_path)
    with pytest.raises(ValueError, match="Name the folder above"):
        ModelVersions("toy", tmp_path / "missing")
