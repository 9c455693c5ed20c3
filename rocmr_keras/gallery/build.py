import numbers
import warnings

import keras
import numpy as np

from rocmr_keras.data.bad_items import check_share
from rocmr_keras.data.bad_items import listed
from rocmr_keras.gallery.embedding import embed_batch
from rocmr_keras.gallery.encoding import Tower
from rocmr_keras.gallery.finished_batches import FinishedBatches
from rocmr_keras.gallery.gallery import Gallery
from rocmr_keras.gallery.listing import list_items


def build_gallery(
    model,
    items,
    modality="images",
    batch_size=64,
    chunk_folder=None,
    max_bad_fraction=0.01,
    verbose=1,
    workers=None,
):
    """Embeds images or captions for searching.

    Args:
        model: A `DualEncoder` with a preprocessor, or the trainer around one.
        items: `rocmr_keras.data.Split`; path of a folder, all images in it and below; or a
            list of paths, bytes or arrays of images, or of captions.
        modality: `"images"` or `"texts"`, what is embedded. Defaults to `"images"`.
        batch_size: Integer, items encoded at a time. Defaults to `64`.
        chunk_folder: Path of a folder where finished batches are kept: when the process is
            killed, the next call with the same arguments goes on there. It is removed
            at the end. Defaults to `None`: nothing is kept.
        max_bad_fraction: Float, the share of images that may be unreadable; they are left
            out and named in a warning. Defaults to `0.01`.
        verbose: `1` for a progress bar, `0` for none. Defaults to `1`.
        workers: `RayWorkers`, processes that embed, also on other machines. Defaults to `None`:
            this process does.

    Returns:
        A `Gallery`. Its ids are those of a `Split`, else positions in `items`; its names are
        file names or captions.

    Raises:
        ValueError: If the model has no preprocessor, there is no item, too many are bad, an
            embedding is not finite (the item is named), or `chunk_folder` is of another model or
            other items.

    Example:

    ```python
    gallery = build_gallery(model, splits["test"], chunk_folder="runs/chunks")
    ```
    """
    model = getattr(model, "dual_encoder", model)
    _check(model, batch_size)
    items, ids, names = list_items(items, modality)
    finished = FinishedBatches(chunk_folder, model, items, modality, batch_size)
    starts = range(0, len(items), batch_size)
    found = {start: finished.read(start) for start in starts if finished.has(start)}
    bad = [fault for part in found.values() for fault in part["faults"].tolist()]
    jobs = [
        (start, items[start : start + batch_size], names[start : start + batch_size])
        for start in starts
        if start not in found
    ]
    embed = _embed_here if workers is None else workers.embed
    bar = keras.utils.Progbar(len(jobs), verbose=verbose, unit_name="batch")
    for start, part in embed(model, modality, batch_size, jobs):
        finished.write(start, part)
        found[start] = part
        bad += part["faults"].tolist()
        received = f"{len(bad)} of {len(items)} so far: {listed(bad)}"
        check_share(len(bad), len(items), max_bad_fraction, received)
        bar.add(1)
    # Workers finish in any order.
    parts = [found[start] for start in starts]
    kept = [int(place) + start for start, part in zip(starts, parts) for place in part["places"]]
    if bad:
        warnings.warn(f"Left out {len(bad)} unreadable images: {listed(bad)}.", stacklevel=2)
    vectors = np.concatenate([part["vectors"] for part in parts])
    gallery = Gallery(vectors, ids[kept], [names[place] for place in kept])
    finished.remove()
    return gallery


def _check(model, batch_size):
    if getattr(model, "preprocessor", None) is None:
        raise ValueError(
            "`model` must be a dual encoder with a preprocessor, which reads captions and images. "
            f"Received: model={model!r:.200} without one. Set `model.preprocessor`."
        )
    if not isinstance(batch_size, numbers.Integral) or batch_size < 1:
        raise ValueError(
            f"`batch_size` must be an integer of at least 1. Received: batch_size={batch_size!r}. "
            "64 is usual."
        )


def _embed_here(model, modality, batch_size, jobs):
    tower = Tower(model, modality)
    for start, batch, names in jobs:
        yield start, embed_batch(tower, batch, names, batch_size)
