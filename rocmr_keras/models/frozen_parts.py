"""A tower in two parts: what may be frozen and constant, and the head behind it."""

import keras

from rocmr_keras.fine_tuning.blocks import sublayers


def is_constant(tower):
    """Says whether the features of a tower are the same in every step of a training.

    Args:
        tower: Keras layer or model, built.

    Returns:
        Boolean: nothing that the features depend on trains, drops out at random or
        normalises by the batch.
    """
    if _is_divided(tower):
        # Such a tower runs a frozen backbone as in inference.
        return not tower.backbone.trainable_weights
    layers = [tower, *sublayers(tower, recursive=True)]
    normalizes = any(
        isinstance(layer, keras.layers.BatchNormalization) and layer.trainable for layer in layers
    )
    # What is a variable and no weight is the state of a seed.
    draws = len(tower.variables) > len(tower.weights)
    return not (tower.trainable_weights or normalizes or draws)


def features(tower, *inputs):
    """Runs the first part of a tower, as in inference.

    Args:
        tower: Keras layer or model, built.
        *inputs: Images, or token embeddings and their padding mask.

    Returns:
        Float tensor `(B, width)`.
    """
    if _is_divided(tower):
        return tower.features(*inputs, training=False)
    run = tower.encode if len(inputs) > 1 else tower
    return run(*inputs, training=False)


def encode_features(tower, x, training):
    """Runs the second part of a tower, if there is one."""
    return tower.encode_features(x, training=training) if _is_divided(tower) else x


def _is_divided(tower):
    names = ("backbone", "features", "encode_features")
    return all(hasattr(tower, name) for name in names)
