"""The gallery of an artefact, and the version after it: the same model, another gallery."""

import json
import os
import pathlib

from rocmr_keras.data.runtime import tensorflow
from rocmr_keras.export.manifest import verify
from rocmr_keras.export.options import ExportOptions
from rocmr_keras.export.saved_model import export_saved_model
from rocmr_keras.export.saved_model import make_examples
from rocmr_keras.files import check_free
from rocmr_keras.gallery import indexes
from rocmr_keras.gallery.gallery import Gallery

# The backend of another process may add in another order.
_TOLERANCE = 1e-4


def read_gallery(path):
    """Reads the gallery out of an artefact, so that nothing need be embedded again.

    Vectors are to the last bit those that were exported; of the index `"int8"` as it rounded
    them, which it does not round again.

    Args:
        path: Path of the folder that `export_saved_model` wrote, which is verified.

    Returns:
        A `Gallery`.

    Raises:
        ValueError: If it is not whole, or has no gallery.
    """
    manifest = verify(path)
    if manifest.get("gallery") is None:
        raise ValueError(
            f"The artefact must have a gallery. Received: path={os.fspath(path)!r} without one. "
            "Export the model with `build_gallery` of what is to be searched."
        )
    file = tensorflow().train.load_checkpoint(str(pathlib.Path(path) / "variables" / "variables"))

    def read(name):
        return file.get_tensor(f"{name}/.ATTRIBUTES/VARIABLE_VALUE")

    index = indexes.from_config(manifest["gallery"]["index"])
    vectors = index.read_vectors(lambda name: read(f"search/{name}"))
    names = [name.decode("utf-8") for name in read("names").tolist()]
    return Gallery(vectors, read("ids"), names)


def export_update(model, path, gallery, queries=None):
    """Writes the version after an artefact: the same model and settings, another gallery.

    A server goes on with the version before until the new folder is there, whole, and then
    changes over. Of two updates that begin with the same version one is refused, so
    neither undoes the other.

    Args:
        model: The model that was exported, on any backend; its embeddings are compared.
        path: Path of the artefact, a version folder such as `serving/3`. It stays as it is.
        gallery: `Gallery`, what the new version searches, by the index of the version before.
        queries: Float array `(q, dim)`, as in `export_saved_model`. Defaults to `None`.

    Returns:
        String, the path of the new version, `serving/4`.

    Raises:
        ValueError: If the artefact is not whole or has no number, the next version exists, or
            the model is another.

    Example:

    ```python
    gallery = rocmr_keras.export.read_gallery("serving/3").remove([17])
    new = rocmr_keras.gallery.build_gallery(model, "new_photos")
    gallery = gallery.append(new.vectors, gallery.ids.max() + 1 + new.ids, new.names)
    rocmr_keras.export.export_update(model, "serving/3", gallery)
    ```
    """
    model = getattr(model, "dual_encoder", model)
    new = _version_after(path)
    check_free(new, overwrite=False)
    manifest = verify(path)
    settings = {
        "dtype": manifest["weights"]["dtype"],
        "string_inputs": "embed_texts" in manifest["signatures"],
        "max_pixels": manifest["preprocessing"]["max_pixels"],
    }
    _check_model(model, path, manifest)
    index = (manifest["gallery"] or {"index": {"name": "exact"}})["index"]
    run = {"flags": manifest["flags"], "report": manifest["report"]}
    options = ExportOptions(**settings)
    index = indexes.from_config(index)
    export_saved_model(model, new, gallery, index, queries, options, run=run)
    return new


def _version_after(path):
    path = pathlib.Path(path)
    if not (path.name.isascii() and path.name.isdecimal()):
        raise ValueError(
            "`path` must end in the number of a version. Received: "
            f"path={os.fspath(path)!r}. Name a folder such as 'serving/3'."
        )
    return str(path.parent / str(int(path.name) + 1))


def _check_model(model, path, manifest):
    """Refuses a model that the gallery is not of."""
    # Importing it loads TensorFlow, whatever the backend is.
    from rocmr_keras.export.writing import describe_preprocessing
    from rocmr_keras.export.writing import largest_deviation

    found = describe_preprocessing(model.preprocessor, manifest["preprocessing"])
    if json.loads(json.dumps(found)) != manifest["preprocessing"]:
        raise _another(path, "another preprocessor")
    # Registers the ops of the tokenizer.
    import tensorflow_text  # noqa: F401

    loaded = tensorflow().saved_model.load(str(path))
    deviation = largest_deviation(loaded.signatures, make_examples(model))
    # Of weights that were rounded the artefact differs from its own model by as much.
    if not deviation <= manifest["weights"]["largest_deviation"] + _TOLERANCE:
        raise _another(path, f"embeddings that differ by {deviation:.3g}")


def _another(path, what):
    return ValueError(
        "`model` must be the one that was exported, or one gallery would hold embeddings of two. "
        f"Received: {what} than in path={os.fspath(path)!r}. Load that model, or export this one "
        "with a gallery that it has embedded."
    )
