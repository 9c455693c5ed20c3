"""Writes the artefact, in a process whose backend is TensorFlow."""

import hashlib

import numpy as np
import tensorflow as tf

from rocmr_keras.export.graph.serving import ServingModel
from rocmr_keras.export.manifest import versions
from rocmr_keras.export.manifest import write_manifest
from rocmr_keras.gallery import indexes
from rocmr_keras.gallery.shards import search_shards

# Half a step of bfloat16 at each weight moves an embedding by some percent at the most.
_TOLERANCE = {"float32": 1e-4, "bfloat16": 0.1}
_MAX_QUERIES = 1000
# Exact search is only checked.
_FEW_QUERIES = 20
_K = 10


def write_saved_model(model, folder, gallery, queries, examples, settings):
    """Writes the SavedModel and its manifest into an empty folder.

    Args:
        model: `DualEncoder`.
        folder: Path.
        gallery: `Gallery` or `None`.
        queries: Float array `(q, dim)` or `None`.
        examples: What `make_examples` returned.
        settings: Dict, see `export_saved_model`.

    Raises:
        ValueError: If the artefact's embeddings are not the model's.
    """
    search, described = None, None
    if gallery is not None:
        index = indexes.from_config(settings["index"])
        search = index.build(gallery.vectors)
        described = {
            "items": len(gallery),
            "dim": gallery.vectors.shape[1],
            "index": settings["index"],
            **_measure(search, gallery, queries, settings["index"]["name"]),
        }
    serving = ServingModel(model, settings["dtype"], settings["max_pixels"], gallery, search)
    signatures = serving.signatures(settings["string_inputs"])
    deviation = largest_deviation(signatures, examples)
    _check_deviation(deviation, settings["dtype"])
    tf.saved_model.save(serving.module, str(folder), signatures=signatures)
    write_manifest(
        folder,
        versions=versions(),
        source_backend=settings["source_backend"],
        weights={"dtype": settings["dtype"], "largest_deviation": deviation},
        preprocessing=describe_preprocessing(model.preprocessor, settings),
        signatures={name: _describe(function) for name, function in signatures.items()},
        gallery=described,
        flags=settings["flags"],
        report=settings["report"],
    )


def largest_deviation(signatures, examples):
    """Compares an artefact with a model.

    Args:
        signatures: Mapping from a name to a function of an artefact.
        examples: What `make_examples` returned for the model.

    Returns:
        Float, the largest difference of a number in an embedding.
    """
    tensors = {name: tf.constant(value) for name, value in examples.items()}
    images = signatures["embed_pixels"](pixels=tensors["pixels"])
    texts = signatures["embed_token_ids"](
        token_ids=tensors["token_ids"], padding_mask=tensors["padding_mask"]
    )
    found = np.concatenate([images["embeddings"], texts["embeddings"]])
    expected = np.concatenate([examples["images"], examples["texts"]])
    return float(np.abs(found - expected).max())


def _check_deviation(deviation, dtype):
    # Written so that a NaN does not pass.
    if not deviation <= _TOLERANCE[dtype]:
        raise ValueError(
            "The artefact must give the model's own embeddings. Received: a difference of "
            f"{deviation}, over {_TOLERANCE[dtype]} for dtype={dtype!r}. Look for a layer that "
            "computes something else on TensorFlow or draws at random."
        )


def _measure(search, gallery, queries, name):
    """Recall of the index against exact search, an item of the gallery not finding itself."""
    k = min(_K, len(gallery))
    limit = _FEW_QUERIES if name == "exact" else _MAX_QUERIES
    own = queries is None
    if own:
        random = np.random.default_rng(0)
        rows = np.sort(random.permutation(len(gallery))[:limit])
        queries = gallery.vectors[rows]
    else:
        queries = np.asarray(queries[:limit], "float32")
    wanted = min(k + own, len(gallery))
    exact = search_shards([gallery], queries, wanted)["rows"]
    _, found = search.search(tf.constant(queries), tf.constant(wanted))
    found = found.numpy()
    if own and wanted > 1:
        keep = lambda hits, row: [hit for hit in hits if hit != row][:k]  # noqa: E731
        exact = [keep(hits, row) for hits, row in zip(exact, rows)]
        found = [keep(hits, row) for hits, row in zip(found, rows)]
    shares = [len(set(a) & set(b)) / len(a) for a, b in zip(exact, found)]
    return {
        f"recall_at_{_K}": float(np.mean(shares)),
        "recall_queries": f"{len(queries)} " + ("items of the gallery" if own else "given queries"),
    }


def describe_preprocessing(preprocessor, settings):
    """Returns what the manifest says of a preprocessor.

    Args:
        preprocessor: `rocmr_keras.data.Preprocessor`.
        settings: Dict with `max_pixels`.

    Returns:
        Dict of plain values.
    """
    config = dict(preprocessor.get_config())
    vocabulary = "\n".join(config.pop("vocabulary", None) or ()).encode()
    return {
        **{name: value for name, value in config.items() if _is_plain(value)},
        "vocabulary_size": preprocessor.vocabulary_size,
        "vocabulary_sha256": hashlib.sha256(vocabulary).hexdigest(),
        "max_pixels": settings["max_pixels"],
    }


def _is_plain(value):
    if isinstance(value, (list, tuple)):
        return all(isinstance(item, (bool, int, float)) for item in value)
    return value is None or isinstance(value, (bool, int, float, str))


def _describe(function):
    def tensors(specs):
        return {
            name: {
                "dtype": spec.dtype.name,
                "shape": None if spec.shape.rank is None else spec.shape.as_list(),
            }
            for name, spec in sorted(specs.items())
        }

    positional, named = function.structured_input_signature
    inputs = {**{spec.name: spec for spec in positional}, **named}
    return {"inputs": tensors(inputs), "outputs": tensors(function.structured_outputs)}
