"""Writes the manifest of an artefact, and verifies an artefact against it."""

import datetime
import hashlib
import json
import os
import pathlib
import platform

from rocmr_keras.export.graph_check import find_forbidden
from rocmr_keras.files import checksums

NAME = "manifest.json"


def write_manifest(folder, **entries):
    """Writes `manifest.json`: the checksums of all files in a folder, and what is given.

    Args:
        folder: Path of the artefact, complete but for its manifest.
        **entries: Plain values, as JSON holds them.
    """
    manifest = {
        "format": 1,
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        **entries,
        "files": checksums(folder, leave_out={NAME}),
    }
    with open(pathlib.Path(folder) / NAME, "w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=2, allow_nan=False)
        file.write("\n")


def versions():
    """Returns a dict of the versions of Python and of the packages at work."""
    import importlib.metadata

    from rocmr_keras.version import __version__

    names = ("keras", "keras-hub", "numpy", "tensorflow", "tensorflow-text")
    found = {name: importlib.metadata.version(name) for name in names}
    return {"python": platform.python_version(), "rocmr-keras": __version__, **found}


def verify(path, manifest_sha256=None):
    """Checks an artefact against its manifest, and its graph for what it must not do.

    Checksums find damage and mix-ups. Against somebody who changes both file and manifest
    only `manifest_sha256` helps, obtained another way. The graph may hold no op that
    reads or writes files, opens connections or runs Python; the saver's own are allowed where
    TensorFlow puts them.

    Args:
        path: Path of the folder that `export_saved_model` or `export_image_tower` wrote.
        manifest_sha256: String, the checksum of `manifest.json`; `None` not to check.
            Defaults to `None`.

    Returns:
        The manifest, a dict.

    Raises:
        ValueError: If there is no manifest, a file is missing, is one too many or is another,
            or the graph holds such an op.

    Example:

    ```python
    rocmr_keras.export.verify("serving/1")["signatures"]
    ```
    """
    folder = pathlib.Path(path)
    manifest = _read(folder, manifest_sha256)
    listed, found = manifest["files"], checksums(folder, leave_out={NAME})
    faults = [f"{name} is missing" for name in sorted(listed.keys() - found.keys())]
    faults += [f"{name} is not listed" for name in sorted(found.keys() - listed.keys())]
    same = sorted(listed.keys() & found.keys())
    faults += [f"{name} is another file" for name in same if listed[name] != found[name]]
    if faults:
        raise ValueError(
            "An artefact must have the files of its manifest. Received: "
            f"path={os.fspath(path)!r}, where {'; '.join(faults)}. Export it anew."
        )
    if (folder / "saved_model.pb").exists():
        forbidden = find_forbidden(folder / "saved_model.pb")
        if forbidden:
            raise ValueError(
                "The graph of an artefact must hold no op that touches files, the network or "
                f"Python. Received: path={os.fspath(path)!r} with {'; '.join(forbidden)}. Do not "
                "load it."
            )
    return manifest


def _read(folder, manifest_sha256):
    try:
        content = (folder / NAME).read_bytes()
        manifest = json.loads(content)
        listed = manifest["files"]
        if not isinstance(listed, dict):
            raise TypeError("`files` is no dict")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"An artefact must have a readable {NAME}. Received: path={str(folder)!r}: "
            f"{error}. Pass the folder that was exported, with its version number."
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if manifest_sha256 not in (None, digest):
        raise ValueError(
            f"`manifest_sha256` must be that of {NAME}. Received: "
            f"manifest_sha256={manifest_sha256!r}, {NAME} has {digest!r}. It is another artefact."
        )
    return manifest
