"""What `benchmark.py --what=search`, `search_by_text` and `search_by_image` compare."""

import io
import os

import numpy as np
import tensorflow as tf
from PIL import Image

import rocmr_keras as rk
from rocmr_keras import serving


def indexes(size, batch_size, dim=64, k=10):
    """Searches of one gallery, by each index, against the product with all of its vectors.

    Args:
        size: Integer, items of the gallery.
        batch_size: Integer, queries.
        dim: Integer. Defaults to `64`.
        k: Integer, hits. Defaults to `10`.

    Returns:
        Dict from a name to a function: the product; a search in blocks that takes scores and
        ties as the product gives them, which the exact index did before it scored near ties
        again; the indexes; and `Gallery.search`.
    """
    draw = np.random.default_rng(0)
    centres = draw.standard_normal((2000, dim), "float32")
    rows = draw.integers(0, len(centres), size + batch_size)
    vectors = centres[rows] + 0.5 * draw.standard_normal((len(rows), dim), "float32")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    gallery, queries = rk.gallery.Gallery(vectors[batch_size:]), tf.constant(vectors[:batch_size])
    hits = tf.constant(k)
    built = {
        "exact": rk.gallery.ExactIndex(),
        "int8": rk.gallery.Int8Index(),
        "ivf": rk.gallery.InvertedFileIndex(),
    }
    built = {name: index.build(gallery.vectors) for name, index in built.items()}
    # One copy for all: two would drive each other out of the caches.
    variable = built["exact"].table.vectors

    def product():
        return tf.matmul(queries, variable.read_value(), transpose_b=True)

    functions = {
        "product": product,
        "ties as they come": lambda: _plain_search(queries, variable, k),
    }
    for name, index in built.items():
        functions[name] = lambda index=index: index.search(queries, hits)
    functions = {f"{name}, {size:,}": tf.function(call) for name, call in functions.items()}
    numpy_queries = queries.numpy()
    return {**functions, f"Gallery.search, {size:,}": lambda: gallery.search(numpy_queries, k)}


def _plain_search(queries, vectors, k, rows_at_once=2**16):
    table, count = vectors.read_value(), len(vectors)

    def step(start, best, rows):
        stop = tf.minimum(start + rows_at_once, count)
        scores = tf.matmul(queries, table[start:stop], transpose_b=True)
        found, places = tf.math.top_k(scores, tf.minimum(k, stop - start))
        best, rows = tf.concat([best, found], 1), tf.concat([rows, places + start], 1)
        best, kept = tf.math.top_k(best, tf.minimum(k, tf.shape(best)[1]))
        return stop, best, tf.gather(rows, kept, batch_dims=1)

    nothing = tf.zeros([len(queries), 0]), tf.zeros([len(queries), 0], "int32")
    free = tf.TensorShape([None, None])
    shapes = tf.TensorShape([]), free, free
    start = tf.constant(0), *nothing
    return tf.while_loop(lambda start, *_: start < count, step, start, shapes)[1:]


def search(model, modality, folder, sizes, batch_size):
    """Searches of exported galleries against the bare call of the tower.

    Args:
        model: A `DualEncoder`.
        modality: `"text"` or `"image"`, what is searched with.
        folder: Folder for the artefacts.
        sizes: Integers, items of the galleries, of random unit vectors.
        batch_size: Integer, queries in a request.

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
