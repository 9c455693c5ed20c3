"""What is decoded of a pack, kept on disk until all of it is."""

import contextlib
import json
import os
import pathlib
import shutil

import numpy as np

from rocmr_keras.files import name_folder
from rocmr_keras.files import replacing
from rocmr_keras.files import write_part


class UnfinishedPack:
    """The pixels of a pack while it is made, in memory or beside the folder to be.

    On disk a chunk counts as decoded when its note is there, and that is written after
    its pixels: whatever a kill leaves behind is gone on with.

    Args:
        folder: Path of the pack to be, or `None` for memory.
        job: String, what is packed, and in which chunks.
        shape: Tuple of integers, `(N, height, width, 3)`.
    """

    def __init__(self, folder, job, shape):
        self.folder = None if folder is None else pathlib.Path(folder)
        if self.folder is None:
            self.images = np.empty(shape, "uint8")
            return
        self.path = self.folder.parent / f".{self.folder.name}.packing"
        self._notes = self.path / "decoded"
        self._begin(job)
        self._pixels = self.path / "images.npy"
        mode = "r+" if self._pixels.exists() else "w+"
        if mode == "w+":
            shutil.rmtree(self._notes, ignore_errors=True)
        self._notes.mkdir(exist_ok=True)
        self.images = np.lib.format.open_memmap(self._pixels, mode, "uint8", shape)

    def _begin(self, job):
        note = self.path / "job.json"
        if note.exists() and json.loads(note.read_text("ascii")) != job:
            # Begun for another preprocessor, or before a bad image was replaced.
            shutil.rmtree(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        with replacing(note) as temporary:
            temporary.write_text(json.dumps(job), "ascii")

    def holds(self, start):
        """Says whether the chunk at `start` is decoded."""
        return self.folder is not None and self._note(start).exists()

    def write(self, start, pixels, is_whole):
        """Puts the pixels of a chunk in place; a chunk that is not whole is tried again."""
        if self.folder is None:
            self.images[start : start + len(pixels)] = pixels
            return
        # Into the file, not its map: that faults for each page, three times the time.
        place = self.images.offset + start * self.images[0].nbytes
        write_part(self._pixels, place, np.ascontiguousarray(pixels).data)
        if is_whole:
            self._note(start).touch()

    def leave_out(self, bad):
        """Moves the good images together.

        Args:
            bad: Integers, positions.

        Returns:
            uint8 array of the good images.
        """
        if not bad:
            return self.images
        if self.folder is not None:
            # Pixels that were moved are not what the notes say any more.
            shutil.rmtree(self._notes)
        good = np.setdiff1d(np.arange(len(self.images)), bad)
        for start in range(0, len(good), 1024):
            chosen = good[start : start + 1024]
            self.images[start : start + len(chosen)] = self.images[chosen]
        return self.images[: len(good)]

    def finish(self, write_tables):
        """Gives the folder its name, when `write_tables(path)` has written the rest."""
        self.images.flush()
        write_tables(self.path)
        name_folder(self.path, self.folder)
        shutil.rmtree(self.folder / "decoded", ignore_errors=True)
        (self.folder / "job.json").unlink(missing_ok=True)

    def _note(self, start):
        return self._notes / f"{start:010d}"


@contextlib.contextmanager
def alone(folder):
    """Waits until no other process packs into the parent of a folder.

    Runs that are started together would otherwise all decode the same images.

    Args:
        folder: Path.
    """
    parent = pathlib.Path(folder).parent
    parent.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:
        # Windows has no lock that ends with its process, and folders cannot be opened.
        yield
        return
    handle = os.open(parent, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
