"""Keeps finished batches of a gallery on disk, so that an interrupted build can resume."""

import hashlib
import json
import os
import pathlib
import shutil

import keras
import numpy as np

from rocmr_keras.files import replacing


class FinishedBatches:
    """Finished batches on disk, each written whole.

    Args:
        folder: Path of the folder, or `None` to keep nothing.
        model: Keras model.
        items: List of what is embedded.
        modality: `"images"` or `"texts"`.
        batch_size: Integer.

    Raises:
        ValueError: If the folder holds other things, or the batches of another job.
    """

    def __init__(self, folder, model, items, modality, batch_size):
        self.folder = None if folder is None else pathlib.Path(folder)
        if self.folder is None:
            return
        # `variables` holds seeds too, and those are new in each process.
        job = {
            "weights": _hash(np.asarray(keras.ops.convert_to_numpy(w)) for w in model.weights),
            "items": _hash(_describe(item) for item in items),
            "modality": modality,
            "batch_size": batch_size,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "job.json"
        if not path.exists():
            if any(self.folder.iterdir()):
                _refuse(folder, "a folder that holds other things")
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(job), "utf-8")
        elif json.loads(path.read_text("utf-8")) != job:
            _refuse(folder, "the batches of another model, other items or another batch size")

    def has(self, start):
        """Whether the batch that begins at `start` is there."""
        return self.folder is not None and self._path(start).exists()

    def read(self, start):
        """Returns the dict of arrays of the batch that begins at `start`."""
        with np.load(self._path(start)) as found:
            return dict(found)

    def write(self, start, found):
        """Keeps a dict of arrays."""
        if self.folder is not None:
            with replacing(self._path(start)) as temporary:
                np.savez(temporary, **found)

    def remove(self):
        """Removes the folder, when the gallery is made."""
        if self.folder is not None:
            shutil.rmtree(self.folder)

    def _path(self, start):
        return self.folder / f"{start:010d}.npz"


def _refuse(folder, what):
    raise ValueError(
        "`chunk_folder` must be new, or that of the same job. Received: "
        f"chunk_folder={os.fspath(folder)!r}, {what}. Remove it, or name another."
    )


def _describe(item):
    if isinstance(item, os.PathLike) or (isinstance(item, str) and os.path.isfile(item)):
        status = os.stat(item)
        return f"{os.fspath(item)} {status.st_size} {status.st_mtime_ns}"
    return item


def _hash(parts):
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            part = np.ascontiguousarray(part).astype(part.dtype.newbyteorder("<")).tobytes()
        data = part if isinstance(part, bytes) else str(part).encode("utf-8", "replace")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()
