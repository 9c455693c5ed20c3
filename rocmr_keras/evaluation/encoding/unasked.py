"""Queries under an attack that asks no model: changed first, then encoded as clean ones are."""

import numpy as np
from keras import ops

from rocmr_keras.evaluation.encoding.embeddings import clean_encoder
from rocmr_keras.evaluation.encoding.embeddings import load_queries
from rocmr_keras.padded_batches import in_batches


def encode_unasked(encoded, attack, queries, keep_inputs):
    """Changes images outside of any compiled step, and encodes them.

    All such attacks share the compiled step of clean images, and may do what no step can.

    Args:
        encoded: An `EncodedSplit`.
        attack: An `ImageAttack` whose `asks_model` is false. A fresh copy is run.
        queries: Integer array of positions, or `None` for all.
        keep_inputs: Boolean, whether to return the images too.

    Returns:
        Dict of arrays, `embeddings` and perhaps `adversarial_images`.
    """
    model, attack = encoded.model, attack.fresh()
    queries = np.arange(len(encoded.clean.images)) if queries is None else np.asarray(queries)
    size = min(encoded.batch_size, len(encoded.clean.images))
    with clean_encoder(model, "images", size) as encoder:

        def step(chosen):
            images = load_queries(model, encoded.split, "images", queries[chosen])["images"]
            changed = ops.convert_to_numpy(attack(ops.convert_to_tensor(images)))
            kept = {"adversarial_images": changed} if keep_inputs else {}
            return {**encoder.predict_on_batch({"images": changed}), **kept}

        return in_batches(step, len(queries), size, encoded.verbose)
