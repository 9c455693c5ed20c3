import dataclasses
import json
import os
import pathlib

import keras
import numpy as np

from rocmr_keras.export.options import ExportOptions
from rocmr_keras.files import check_free
from rocmr_keras.files import new_folder
from rocmr_keras.gallery import indexes
from rocmr_keras.gallery.gallery import Gallery


def export_saved_model(
    model,
    path,
    gallery=None,
    index="exact",
    queries=None,
    options=None,
    overwrite=False,
    run=None,
):
    """Writes a SavedModel that takes strings and image files, for a server without Keras.

    Tokenizer, decoding, resizing, normalisation, both towers and the gallery are inside. On
    JAX and PyTorch the model is saved and exported by a TensorFlow process of its own. In
    either case the artefact's embeddings are compared with the model's before it is
    moved into place.

    Every signature takes and returns named tensors; all but `k` have a leading batch
    dimension, of any length, 0 included:

    - `embed_texts(texts: string (n,))`, `embed_images(images: bytes (n,))` of JPEG, PNG, GIF
      (first picture), BMP and still WebP, `embed_token_ids(token_ids: int32 (n, L),
      padding_mask: bool (n, L))`, `embed_pixels(pixels: float32 (n, h, w, 3) in [0, 1])` give
      `embeddings`, float32 `(n, dim)`, rows of length 1.
    - `search_by_text(texts, k)` and `search_by_image(images, k)`, with a gallery, give `ids`
      int64, `names` string and `scores` float32, each `(n, min(k, items))`, best first. `k` is
      int32: one number, or the same for each query, as the row format of REST wants it.
    - `serving_default` is `embed_texts` (`embed_images` without `string_inputs`).

    What cannot be answered is refused with `InvalidArgument`: a bad image fails its request,
    and is named by position. Sizes are read from headers before anything is decoded.
    Strings of broken UTF-8 are read with `"?"` for the broken bytes.

    Args:
        model: A `DualEncoder` with a `rocmr_keras.data.Preprocessor`; on the TensorFlow backend
            also an `Adapter` or a class with its methods.
        path: Path of the folder, whose last part is a version number in TensorFlow Serving's
            layout; see `rocmr_keras.export.next_version`.
        gallery: `Gallery`, or `None` for embeddings only. Defaults to `None`.
        index: `"exact"`, `"int8"`, `"ivf"`, or an index such as `InvertedFileIndex(500, 20)`.
            Defaults to `"exact"`.
        queries: Float array `(q, dim)`, embeddings of typical queries, on which the recall of
            an index that is not exact is measured. Defaults to `None`: items of the
            gallery, which are easier than captions are.
        options: `rocmr_keras.export.ExportOptions`, the type of stored weights and what the
            artefact takes, or `None` for its defaults. Defaults to `None`.
        overwrite: Boolean, whether to replace `path`. Defaults to `False`.
        run: Dict, for the manifest, with `flags`, a dict or a list of strings, how the model was
            trained, and `report`, a dict or the path of a JSON file, its robustness; either
            may be missing. Defaults to `None`.

    Returns:
        The manifest, a dict; it lies in the folder as `manifest.json`.

    Raises:
        ValueError: If an argument does not fit, `path` exists, the gallery is of another
            width, or the artefact and the model differ.
        RuntimeError: If the TensorFlow process failed; the message is its last words.

    Example:

    ```python
    gallery = rocmr_keras.gallery.build_gallery(model, "photos")
    path = rocmr_keras.export.next_version("serving")  # serving/1
    rocmr_keras.export.export_saved_model(model, path, gallery)
    ```
    """
    # A file of `keras.callbacks.ModelCheckpoint` is a trainer.
    model = getattr(model, "dual_encoder", model)
    check_free(path, overwrite)
    settings = {
        "index": indexes.to_config(indexes.get(index)),
        **dataclasses.asdict(options or ExportOptions()),
        **_read_run(run or {}),
        "source_backend": keras.config.backend(),
    }
    _check(model, gallery, queries)
    examples = make_examples(model)
    _check_width(gallery, examples["images"].shape[1])
    with new_folder(path, overwrite) as folder:
        if keras.config.backend() == "tensorflow":
            from rocmr_keras.export.writing import write_saved_model

            write_saved_model(model, folder, gallery, queries, examples, settings)
        else:
            from rocmr_keras.export.tensorflow_process import write_in_subprocess

            write_in_subprocess(model, folder, gallery, queries, examples, settings)
    return json.loads((pathlib.Path(path) / "manifest.json").read_text("utf-8"))


def make_examples(model, count=4):
    """Returns random inputs and what the model makes of them, to compare an artefact with.

    Args:
        model: `DualEncoder`.
        count: Integer. Defaults to `4`.

    Returns:
        Dict of arrays: `pixels`, `token_ids`, `padding_mask`, `images`, `texts`; the last two
        are embeddings.
    """
    random, preprocessor = np.random.default_rng(0), model.preprocessor
    pixels = random.random((count, *preprocessor.image_size, 3), "float32")
    shape = (count, preprocessor.sequence_length)
    token_ids = random.integers(0, model.text_encoder.embedding_table.shape[0], shape, "int32")
    # Captions of all lengths, from one token on.
    mask = np.arange(shape[1]) < random.integers(1, shape[1] + 1, (count, 1))
    images = model.encode_images(pixels, training=False)
    texts = model.encode_texts(token_ids, mask, training=False)
    return {
        "pixels": pixels,
        "token_ids": token_ids,
        "padding_mask": mask,
        "images": keras.ops.convert_to_numpy(images),
        "texts": keras.ops.convert_to_numpy(texts),
    }


def _check(model, gallery, queries):
    preprocessor = getattr(model, "preprocessor", None)
    if not hasattr(preprocessor, "decode_graph") or not hasattr(preprocessor, "tokenize_graph"):
        raise ValueError(
            "`model` must have a `rocmr_keras.data.Preprocessor`, which the artefact takes in. "
            f"Received: model={model} with preprocessor={preprocessor}. Build the model with one."
        )
    if gallery is not None and not isinstance(gallery, Gallery):
        raise ValueError(
            "`gallery` must be a `rocmr_keras.gallery.Gallery`. Received: "
            f"gallery of type {type(gallery).__name__}. Make one with `build_gallery`."
        )
    width = None if gallery is None else gallery.vectors.shape[1]
    if queries is not None and (gallery is None or np.shape(queries)[1:] != (width,)):
        raise ValueError(
            "`queries` must be embeddings (q, dim) for a gallery of that width. Received: "
            f"queries of shape {np.shape(queries)}, a gallery of width {width}. Encode them "
            "with the same model."
        )


def _check_width(gallery, width):
    if gallery is not None and gallery.vectors.shape[1] != width:
        raise ValueError(
            f"`gallery` must have the width of the model's embeddings, {width}. Received: "
            f"gallery={gallery}. Build it with the same model."
        )


def _read_run(run):
    if set(run) - {"flags", "report"}:
        raise ValueError(
            "`run` may hold 'flags' and 'report'. Received: keys "
            f"{sorted(run)}. Leave the others out."
        )
    report = run.get("report")
    if isinstance(report, (str, os.PathLike)):
        report = json.loads(pathlib.Path(report).read_text("utf-8"))
    return {"flags": run.get("flags"), "report": report}
