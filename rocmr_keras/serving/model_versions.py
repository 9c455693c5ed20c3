import contextlib
import logging
import os
import threading

from rocmr_keras.serving.request_error import RequestError
from rocmr_keras.serving.servable import Servable

logger = logging.getLogger(__name__)


class ModelVersions:
    """Serves the highest version below a folder, and changes over when a higher one appears.

    TensorFlow Serving's layout and policy: `base_path/<number>/saved_model.pb`, and the
    latest version alone is served. A version folder must appear whole, by a rename. One
    that cannot be loaded is reported, and the one before goes on serving.

    Args:
        name: String, the name that clients ask for.
        base_path: Path of the folder of version folders.
        check: Callable that is given a version's path before it is loaded and raises to
            refuse it, such as `rocmr_keras.export.verify`. Defaults to `None`.

    Raises:
        ValueError: If there is no version below `base_path`, or it cannot be loaded.
    """

    def __init__(self, name, base_path, check=None):
        self.name = name
        self.base_path = os.fspath(base_path)
        self.check = check
        self._lock = threading.Lock()
        self._servable = None
        self._failed = {}
        self.refresh()
        if self._servable is None:
            raise ValueError(
                "`base_path` must hold a version folder with a SavedModel that can be loaded, "
                f"such as {os.path.join(self.base_path, '1', 'saved_model.pb')}. "
                f"Received: base_path={self.base_path!r}, {self._failed or 'without one'}. "
                "Name the folder above the version."
            )

    def refresh(self):
        """Loads the highest version, if it is not the one served and has not failed."""
        with self._lock:
            versions = _versions(self.base_path)
            version = max(versions, default=None)
            current = self._servable.version if self._servable else None
            if version in (None, current) or version in self._failed:
                return
            try:
                if self.check is not None:
                    self.check(versions[version])
                self._servable = Servable(versions[version], version)
                logger.info("Serving version %d of %s", version, self.name)
            except Exception as error:  # Whatever is wrong with a file must not end the server.
                logger.exception("Version %d of %s cannot be loaded", version, self.name)
                self._failed[version] = str(error)[:500]

    def get(self, name, version=None):
        """Returns the servable that a request asks for.

        Args:
            name: String.
            version: Integer, or `None` for the latest. Defaults to `None`.

        Raises:
            RequestError: If it is not served, with the code `"NOT_FOUND"`.
        """
        servable = self._servable
        if name == self.name and version in (None, servable.version):
            return servable
        wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        raise RequestError(
            f"Servable not found for request: {wanted}. "
            f"This server has version {servable.version} of {self.name}.",
            "NOT_FOUND",
        )

    def available(self):
        """Returns the list of versions that answer now."""
        return [self._servable.version] if self._servable else []

    def states(self, name, version=None):
        """Lists the versions known, the highest first.

        Args:
            name: String.
            version: Integer, or `None` for all. Defaults to `None`.

        Returns:
            A list of tuples: version, `"AVAILABLE"` or `"END"`, and a message, `""` if
            nothing is wrong.

        Raises:
            RequestError: If there is none, with the code `"NOT_FOUND"`.
        """
        known = {**self._failed, self._servable.version: ""} if name == self.name else {}
        wanted = sorted(known, reverse=True) if version is None else {version} & set(known)
        if not wanted:
            which = "any versions" if version is None else f"version {version}"
            raise RequestError(f"Could not find {which} of model {name}", "NOT_FOUND")
        return [
            (number, "END" if known[number] else "AVAILABLE", known[number]) for number in wanted
        ]


def _versions(base_path):
    """Returns a dict of version number to path; a number may be written with zeros before."""
    found = {}
    with contextlib.suppress(OSError):
        for entry in os.scandir(base_path):
            whole = os.path.exists(os.path.join(entry.path, "saved_model.pb"))
            if entry.name.isdecimal() and entry.name.isascii() and whole:
                found[int(entry.name)] = entry.path
    return found
