"""Clean embeddings, of a whole split or of inputs that are at hand."""

import keras
import numpy as np

from rocmr_keras.attacks import QueryEncoder
from rocmr_keras.evaluation.encoding.kept_encoders import kept_encoders
from rocmr_keras.padded_batches import in_batches


class Embeddings:
    """The embeddings of the images and captions of a split, and their ids.

    Args:
        images: Float array `(images, dim)`.
        texts: Float array `(texts, dim)`.
        image_ids: Integer array `(images,)`.
        text_ids: Integer array `(texts,)`, equal to the id of the images they describe.
    """

    def __init__(self, images, texts, image_ids, text_ids):
        self.images = images
        self.texts = texts
        self.image_ids = np.asarray(image_ids)
        self.text_ids = np.asarray(text_ids)


def encode(model, split, batch_size=64, verbose=1):
    """Encodes all images and captions of a split, clean.

    Args:
        model: A `DualEncoder` with a preprocessor.
        split: A `rocmr_keras.data.Split`.
        batch_size: Integer. Defaults to `64`.
        verbose: `1` for a progress bar, `0` for none. Defaults to `1`.

    Returns:
        `Embeddings`.
    """

    def encode_side(modality, count):
        # A batch larger than the split would encode items twice.
        size = min(batch_size, count)
        with clean_encoder(model, modality, size) as encoder:

            def step(rows):
                return encoder.predict_on_batch(load_queries(model, split, modality, rows))

            return in_batches(step, count, size, verbose, halvings)["embeddings"]

    # PyTorch compiles nothing.
    halvings = None if keras.config.backend() == "torch" else 0
    return Embeddings(
        encode_side("images", len(split.images)),
        encode_side("texts", len(split.captions)),
        split.image_ids,
        split.caption_image_ids,
    )


def pack_for(model, split, verbose=1):
    """Decodes and tokenises a split once for all that is to come.

    Args:
        model: A `DualEncoder` with a preprocessor. One without the method `pack` reads each
            batch anew.
        split: A `rocmr_keras.data.Split`.
        verbose: `1` for a progress bar, `0` for none. Defaults to `1`.

    Returns:
        A `rocmr_keras.data.PackedSplit`, or the split as it is.
    """
    pack = getattr(model.preprocessor, "pack", None)
    return split if pack is None else pack(split, verbose=verbose)


def encode_inputs(model, modality, inputs, batch_size):
    """Encodes inputs of one modality that are arrays already, in batches of one size.

    Args:
        model: A `DualEncoder`.
        modality: `"images"` or `"texts"`.
        inputs: Dict of arrays of `n` examples, `images`, or `token_ids` and `padding_mask`.
        batch_size: Integer.

    Returns:
        Float array `(n, dim)`.
    """
    inputs = {name: np.asarray(values) for name, values in inputs.items()}
    count = len(next(iter(inputs.values())))
    with clean_encoder(model, modality, batch_size) as encoder:

        def step(rows):
            return encoder.predict_on_batch({name: all_[rows] for name, all_ in inputs.items()})

        return in_batches(step, count, batch_size)["embeddings"]


def clean_encoder(model, modality, batch_size):
    """Lends a `QueryEncoder` without attack for batches of one size, compiled before or not."""
    key = "clean", modality, batch_size
    return kept_encoders(model).borrow(key, lambda: QueryEncoder(model, modality))


def load_queries(model, split, modality, rows):
    """Returns a batch of some images or captions of a split, as a model's towers take them."""
    tokens = getattr(split, "tokens", None)
    if modality == "texts" and tokens is not None:
        return {name: values[rows] for name, values in tokens.items()}
    if modality == "images":
        return {"images": model.preprocessor.load_images(_take(split.images, rows))}
    return dict(model.preprocessor.tokenize([split.captions[row] for row in rows]))


def _take(images, rows):
    return images[rows] if isinstance(images, np.ndarray) else [images[row] for row in rows]
