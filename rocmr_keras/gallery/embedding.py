"""Embeds one batch of items, on which everything that may be wrong with them is found."""

import numpy as np

from rocmr_keras.gallery.encoding import encode_items


def embed_batch(tower, batch, names, batch_size):
    """Reads and embeds a batch.

    Args:
        tower: `Tower` of a model with a preprocessor.
        batch: List of images or captions, see `build_gallery`.
        names: List of strings, for messages.
        batch_size: Integer, to which a smaller batch is filled up.

    Returns:
        Dict of arrays: `vectors`, float32 `(n, dim)`; `places`, int64 `(n,)`, the positions in
        `batch` that could be read; `faults`, strings, what is wrong with the others.

    Raises:
        ValueError: If an embedding is not finite.
    """
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
