"""Writes files and folders atomically, and computes checksums."""

import contextlib
import hashlib
import os
import pathlib
import shutil


@contextlib.contextmanager
def replacing(path, previous=None):
    """Yields a temporary path beside `path`, whose file takes its name when all went well.

    On an exception, a full disk among them, what was there stays as it is and the temporary
    file is removed. File and folder are flushed to the disk, so after a loss of power there is
    the old file or the new one, whole. The temporary name begins with a dot and keeps the
    ending, by which some writers go. `new_folder` is the same for a folder.

    Args:
        path: String or path of the file. Its folder is made if it is not there.
        previous: String or path where the file of before is kept. Defaults to `None`: it is
            not kept.

    Example:

    ```python
    with replacing("runs/a/flags.txt") as temporary:
        temporary.write_text("--seed=0\n", "utf-8")
    ```
    """
    path = pathlib.Path(os.path.abspath(os.fspath(path)))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.stem}.{os.getpid()}.writing{path.suffix}"
    try:
        yield temporary
        with open(temporary, "r+b") as file:
            os.fsync(file.fileno())
        _move(temporary, path, previous)
        _flush_names(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_part(path, start, data):
    """Overwrites a part of a file, and returns when it is on the disk.

    Args:
        path: String or path of the file.
        start: Integer, the first byte that is overwritten.
        data: Contiguous buffer, such as `bytes` or the `data` of a NumPy array.
    """
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _flush_names(folder):
    """Makes a renaming last; only POSIX opens a folder."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def new_folder(path, overwrite=False):
    """Yields an empty folder beside `path` that takes its name when all went well.

    Its temporary name begins with a dot, so a server that watches the parent for version
    folders does not see it. With `overwrite` the folder before is moved away first and
    removed last: a moment without a folder of that name remains.

    Args:
        path: Path that must not exist, unless `overwrite`.
        overwrite: Boolean, whether to replace what is there. Defaults to `False`.

    Raises:
        ValueError: If `path` exists and may not be replaced.
    """
    path = pathlib.Path(os.path.abspath(os.fspath(path)))
    check_free(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{os.getpid()}.writing"
    former = path.parent / f".{path.name}.{os.getpid()}.former"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        check_free(path, overwrite)
        _move(temporary, path, former)
        remove(former)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def name_folder(unfinished, path):
    """Gives a folder its name when it is whole, where filling it may take several runs.

    Args:
        unfinished: Path of the folder, on the same disk.
        path: Path that does not exist, or an empty folder.
    """
    os.replace(unfinished, path)
    _flush_names(pathlib.Path(path).parent)


def _move(temporary, path, former=None):
    """Gives what is written its name, and what had the name before that of `former`."""
    kept = former is not None and os.path.lexists(path)
    if kept:
        os.replace(path, former)
    try:
        os.replace(temporary, path)
    except OSError:
        if kept:
            os.replace(former, path)
        raise


def check_free(path, overwrite):
    """Refuses a path that exists.

    Args:
        path: Path.
        overwrite: Boolean, whether it may exist.

    Raises:
        ValueError: If it exists and may not.
    """
    if os.path.lexists(path) and not overwrite:
        raise ValueError(
            f"`path` must not exist. Received: path={os.fspath(path)!r}. Write beside it, for "
            "example with `next_version`, or pass overwrite=True."
        )


def remove(path):
    """Removes a file or folder, if there is one."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.remove(path)


def next_version(base):
    """Returns the path of the next version in TensorFlow Serving's layout.

    A server that watches `base` serves the folder of the highest number, and changes over
    when a higher one appears.

    Args:
        base: Path of the folder of one model, which need not exist.

    Returns:
        String, `base/1`, or one more than the highest number in `base`.
    """
    return str(pathlib.Path(base) / str(max(_versions(base), default=0) + 1))


def latest_version(base):
    """Returns the path of the version that a server of a folder serves.

    Args:
        base: Path of the folder of one model.

    Returns:
        String, the path of the highest number in `base`.

    Raises:
        ValueError: If there is none.
    """
    versions = _versions(base)
    if not versions:
        raise ValueError(
            "`base` must hold the folder of a version, such as 1. Received: "
            f"base={os.fspath(base)!r} without one. Export a model there first."
        )
    return str(versions[max(versions)])


def _versions(base):
    """Returns a dict from a number to its path, which may be written with zeros before."""
    base = pathlib.Path(base)
    paths = base.iterdir() if base.is_dir() else []
    named = [path for path in paths if path.name.isascii() and path.name.isdecimal()]
    return {int(path.name): path for path in named}


def checksums(folder, leave_out=()):
    """Describes every file of a folder.

    Args:
        folder: Path.
        leave_out: Names, relative to the folder, that are not listed.

    Returns:
        Dict from the name, with `/` and relative to the folder, to a dict of `sha256` and
        `bytes`.

    Raises:
        ValueError: If something is neither a file nor a folder, such as a link.
    """
    folder, found = pathlib.Path(folder), {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ValueError(
                "A folder of an artefact must hold plain files. Received: "
                f"{name!r} in {str(folder)!r}, a link or device. Remove it."
            )
        if path.is_file() and name not in leave_out:
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[name] = {"sha256": digest, "bytes": path.stat().st_size}
    return found


def lock_folder(folder):
    """Takes a folder for this process alone, and removes what a killed one left half written.

    The system gives the lock free when the process ends, however it ends; the file `.lock`
    stays, and says nothing by itself. Only POSIX has such locks; elsewhere nothing is held.

    Args:
        folder: String or path, made if it is not there.

    Returns:
        A file object. The folder is taken until it is closed or the process ends.

    Raises:
        ValueError: If another process has taken it.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    file = open(folder / ".lock", "a+")
    try:
        _lock(file)
    except OSError as error:
        file.close()
        raise ValueError(
            "A folder takes one run at a time. Received: "
            f"{str(folder)!r}, into which another process writes. Wait for it, or choose another "
            "folder."
        ) from error
    for unfinished in folder.glob(".*.writing*"):
        remove(unfinished)
    return file


def _lock(file):
    try:
        import fcntl
    except ImportError:
        return
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
