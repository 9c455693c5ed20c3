import os
import pathlib

_TYPES = {
    ".bmp": "image/bmp",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}


class Thumbnails:
    """The pictures of a gallery's items, found by the names that a search returns.

    The files are listed once. What a request asks for is looked up in that list and never
    becomes a path, so that no name reaches another file.

    Args:
        paths: Dict of item name to path of an image file.
        labels: Dict of item name to what is written below its picture. Defaults to `None`:
            the names.

    Raises:
        ValueError: If there is no picture, or a file is not an image by its name.

    Example:

    ```python
    thumbnails = Thumbnails.from_folder("photos")
    ```
    """

    def __init__(self, paths, labels=None):
        self.paths = {name: os.fspath(path) for name, path in paths.items()}
        self.labels = dict(labels or {})
        strange = [path for path in self.paths.values() if _suffix(path) not in _TYPES]
        if strange or not self.paths:
            raise ValueError(
                f"`paths` must name images that end in {', '.join(sorted(_TYPES))}. "
                f"Received: {strange[0] if strange else 'none'}. Leave the others out."
            )

    @classmethod
    def from_folder(cls, folder):
        """Lists a folder of images, named as `rocmr_keras.gallery.build_gallery` names them.

        Args:
            folder: Path.

        Returns:
            `Thumbnails`.
        """
        root = pathlib.Path(folder)
        found = sorted(path for path in root.rglob("*") if _suffix(path) in _TYPES)
        return cls({path.relative_to(root).as_posix(): path for path in found})

    @classmethod
    def from_split(cls, split):
        """Lists the image files of a split, with their first captions as labels.

        Args:
            split: A `rocmr_keras.data.Split` of files.

        Returns:
            `Thumbnails`.
        """
        names = [os.path.basename(path) for path in split.images]
        labels = [split.captions_of(image_id)[0] for image_id in split.image_ids]
        return cls(dict(zip(names, split.images)), dict(zip(names, labels)))

    def sample(self, count):
        """Returns at most so many names, evenly spaced."""
        names = list(self.paths)
        count = min(count, len(names))
        return [names[place * len(names) // count] for place in range(count)]

    def read(self, name):
        """Returns the bytes and the media type of a picture, or `None` for a name unknown."""
        path = self.paths.get(name)
        if path is None:
            return None
        with open(path, "rb") as file:
            return file.read(), _TYPES[_suffix(path)]


def _suffix(path):
    return os.path.splitext(path)[1].lower()
