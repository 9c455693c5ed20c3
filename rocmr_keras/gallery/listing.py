"""What a gallery is made of, as a list, with ids and names."""

import os
import pathlib

import numpy as np

from rocmr_keras.data import Split

_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp"))


def list_items(items, modality):
    """Lists what is embedded.

    Args:
        items: `Split`, path of a folder of images, or list, see `build_gallery`.
        modality: `"images"` or `"texts"`.

    Returns:
        A list of items, an integer array of ids, and a list of names.

    Raises:
        ValueError: If the modality is unknown, or there is nothing.
    """
    if modality not in ("images", "texts"):
        raise ValueError(
            "`modality` must be 'images' or 'texts'. Received: "
            f"modality={modality!r}. Queries of the other kind search the gallery too."
        )
    if isinstance(items, Split):
        return _from_split(items, modality)
    if isinstance(items, dict):
        raise ValueError(
            "`items` must be one split, a folder, or a list. Received: a dict with "
            f"{sorted(map(str, items))}. Pass for example `splits['test']`."
        )
    if isinstance(items, (str, os.PathLike)):
        root = pathlib.Path(items)
        found = sorted(path for path in root.rglob("*") if path.suffix.lower() in _SUFFIXES)
        names = [path.relative_to(root).as_posix() for path in found]
    else:
        found = list(items)
        names = found if modality == "texts" else [_name(i, item) for i, item in enumerate(found)]
    if not found:
        raise ValueError(
            "`items` must hold at least one item. Received: "
            f"{items if isinstance(items, (str, os.PathLike)) else 'an empty list'!r}. "
            f"Images end in {', '.join(sorted(_SUFFIXES))}."
        )
    return found, np.arange(len(found)), names


def _from_split(split, modality):
    if modality == "texts":
        return split.captions, split.caption_image_ids, split.captions
    if isinstance(split.images, np.ndarray):
        # A picture without a file is called by what is said of it.
        names = [split.captions_of(image_id)[0] for image_id in split.image_ids]
    else:
        names = [os.path.basename(path) for path in split.images]
    return list(split.images), split.image_ids, names


def _name(place, item):
    is_path = isinstance(item, (str, os.PathLike))
    return os.path.basename(os.fspath(item)) if is_path else str(place)
