import hashlib
import json
import shutil

import pytest

from rocmr_keras.data.runtime import tensorflow
from rocmr_keras.export import verify
from rocmr_keras.export.manifest import write_manifest

tf = tensorflow()


@pytest.fixture
def copy(artefact, tmp_path):
    return shutil.copytree(artefact, tmp_path / "copy")


def test_a_flipped_bit(copy):
    (path,) = copy.glob("variables/variables.data*")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"variables/{path.name} is another file"):
        verify(copy)


def test_a_file_too_many_and_one_too_few(copy):
    (copy / "assets").mkdir(exist_ok=True)
    (copy / "assets" / "more.txt").write_text("more")
    (copy / "fingerprint.pb").unlink()
    with pytest.raises(
        ValueError, match="fingerprint.pb is missing; assets/more.txt is not listed"
    ):
        verify(copy)


def test_a_link(copy):
    (copy / "link").symlink_to(copy / "saved_model.pb")
    with pytest.raises(ValueError, match="plain files.*'link'"):
        verify(copy)


def test_checksum_of_the_manifest(copy):
    digest = hashlib.sha256((copy / "manifest.json").read_bytes()).hexdigest()
    assert verify(copy, digest)["format"] == 1
    with pytest.raises(ValueError, match="`manifest_sha256` must be that of manifest.json"):
        verify(copy, "0" * 64)


@pytest.mark.parametrize("content", [None, "{", "[]", json.dumps({"files": []})])
def test_no_manifest(tmp_path, content):
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ValueError, match="must have a readable manifest.json"):
        verify(tmp_path)


def save(folder, function):
    module = tf.Module()
    module.state = tf.Variable(1.0)
    signature = tf.function(
        lambda text: {"out": function(text)}, input_signature=[tf.TensorSpec([], "string")]
    )
    tf.saved_model.save(module, str(folder), signatures=signature)
    write_manifest(folder)


@pytest.mark.parametrize(
    "function, op",
    [
        (lambda text: tf.numpy_function(lambda x: x, [text], "string"), "PyFunc in"),
        (lambda text: tf.py_function(lambda x: x, [text], "string"), "EagerPyFunc in"),
        (tf.io.read_file, "ReadFile in"),
        (
            lambda text: tf.data.TextLineDataset(text).batch(9).get_single_element(),
            "TextLineDataset in",
        ),
        (
            lambda text: tf.raw_ops.RestoreV2(
                prefix=text, tensor_names=["x"], shape_and_slices=[""], dtypes=["string"]
            )[0],
            "RestoreV2 in",
        ),
        # In a branch, inside of a loop's body, where nobody looks.
        (
            lambda text: tf.while_loop(
                lambda x: tf.strings.length(x) < 0, lambda x: (tf.io.read_file(x),), (text,)
            )[0],
            "ReadFile in",
        ),
    ],
    ids=["numpy_function", "py_function", "read", "lines", "restore", "loop"],
)
def test_ops_of_files_and_python(tmp_path, function, op):
    save(tmp_path / "1", function)
    with pytest.raises(ValueError, match=f"no op that touches files.*{op}"):
        verify(tmp_path / "1")


def test_harmless_ops(tmp_path):
    save(tmp_path / "1", tf.strings.upper)
    assert verify(tmp_path / "1")["format"] == 1
