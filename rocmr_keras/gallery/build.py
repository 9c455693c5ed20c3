import numbers
import warnings

import keras
import numpy as np

from rocmr_keras.data.bad_items import check_share
from rocmr_keras.data.bad_items import listed
from rocmr_keras.gallery.encoding import Tower
from rocmr_keras.gallery.encoding import encode_items
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
    tower = Tower(model, modality)
    starts = range(0, len(items), batch_size)
    bar = keras.utils.Progbar(len(starts), verbose=verbose, unit_name="batch")
    vectors, kept, bad = [], [], []
    for start in starts:
        found = finished.read(start)
        if found is None:
            batch = items[start : start + batch_size]
            found = _embed(tower, batch, names[start : start + batch_size], batch_size)
            finished.write(start, found)
        vectors.append(found["vectors"])
        kept += (found["places"] + start).tolist()
        bad += found["faults"].tolist()
        received = f"{len(bad)} of {len(items)} so far: {listed(bad)}"
        check_share(len(bad), len(items), max_bad_fraction, received)
        bar.add(1)
    if bad:
        warnings.warn(f"Left out {len(bad)} unreadable images: {listed(bad)}.", stacklevel=2)
    gallery = Gallery(np.concatenate(vectors), ids[kept], [names[place] for place in kept])
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


def _embed(tower, batch, names, batch_size):
    preprocessor = tower.dual_encoder.preprocessor
    places, faults = list(range(len(batch))), []
    if tower.modality == "texts":
        inputs = preprocessor.tokenize(batch)
    else:
        places, faults, inputs = _load(preprocessor, batch, names)
    if not places:
        # Of no vector the width is not known; the concatenation needs it.
        inputs = np.zeros((1, *preprocessor.image_size, 3), "float32")
    vectors = encode_items(tower, inputs, batch_size)[: len(places)]
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        name = names[places[int(np.argmin(finite))]]
        raise ValueError(
            "Embeddings must be finite. Received: NaN or infinity for "
            f"{name[:80]!r}, {np.sum(~finite)} of {len(finite)} in its batch. Check the model's "
            "weights, and its precision."
        )
    return {
        "vectors": vectors,
        "places": np.array(places, "int64"),
        "faults": np.array(faults, str),
    }


def _load(preprocessor, batch, names):
    try:
        return list(range(len(batch))), [], preprocessor.load_images(batch)
    except ValueError:
        places, faults, pixels = [], [], []
        for place, (image, name) in enumerate(zip(batch, names)):
            try:
                pixels.append(preprocessor.load_images([image])[0])
                places.append(place)
            except ValueError as error:
                faults.append(f"{name}: {error}")
        return places, faults, np.array(pixels)
