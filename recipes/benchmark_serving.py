"""What `benchmark.py --what=search_by_text` and `search_by_image` compare."""

import io
import os

import numpy as np
from PIL import Image

import rocmr_keras as rk
from rocmr_keras import serving


def search(model, modality, folder, sizes, batch_size):
    """Searches of exported galleries against the bare call of the tower.

    Args:
        model: A `DualEncoder`.
        modality: `"text"` or `"image"`, what is searched with.
        folder: Folder for the artefacts.
        sizes: Ints, items of the galleries, of random unit vectors.
        batch_size: Int, queries in a request.

    Returns:
        Dict from a name to a function, the bare tower first.
    """
    make = {"text": _texts, "image": _images}[modality]
    raw, bare = make(model.preprocessor, batch_size)
    functions = {}
    for size in sizes:
        servable = _serve(model, os.path.join(folder, str(size)), size)
        if not functions:
            for inputs in (bare, raw):
                signature = f"embed_{next(iter(inputs))}"
                functions[signature] = _call(servable, signature, inputs)
        inputs = {**raw, "k": np.array(10, "int32")}
        signature = f"search_by_{modality}"
        functions[f"{signature}, {size:,} items"] = _call(servable, signature, inputs)
    return functions


def _serve(model, path, size):
    pixels = np.zeros((1, *model.preprocessor.image_size, 3), "float32")
    shape = (size, model.encode_images(pixels).shape[-1])
    vectors = np.random.default_rng(0).standard_normal(shape, "float32")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rk.export.export_saved_model(model, path, rk.gallery.Gallery(vectors))
    return serving.Servable(path, version=1)


def _call(servable, signature, inputs):
    return lambda: servable.run(signature, inputs)


def _texts(preprocessor, count):
    """Returns captions of eight words, and their tokens."""
    draw = np.random.default_rng(0)
    words = [piece for piece in preprocessor.vocabulary if piece.isalpha()]
    texts = [" ".join(draw.choice(words, 8)) for _ in range(count)]
    return {"texts": np.array([text.encode() for text in texts], object)}, (
        preprocessor.tokenize(texts)
    )


def _images(preprocessor, count, side=256):
    """Returns JPEG files, and pixels of the tower's size."""
    draw = np.random.default_rng(0)
    small = draw.integers(0, 256, (count, 16, 16, 3), "uint8")
    files = []
    for pixels in small:
        buffer = io.BytesIO()
        Image.fromarray(pixels).resize((side, side)).save(buffer, "JPEG")
        files.append(buffer.getvalue())
    pixels = draw.random((count, *preprocessor.image_size, 3), "float32")
    return {"images": np.array(files, object)}, {"pixels": pixels}
