"""The frozen model that distances are measured to."""

import os
import tempfile


def frozen_copy(model):
    """Returns a copy of a dual encoder that never trains.

    The weights go through a file, which also merges LoRA into them.

    Args:
        model: A `DualEncoder`, or a Keras model with a config that rebuilds it.

    Returns:
        A model of the same class, without a preprocessor: it is fed tensors.
    """
    config = model.get_config()
    if "preprocessor" in config:
        config["preprocessor"] = None
    copy = type(model).from_config(config)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.weights.h5")
        model.save_weights(path)
        copy.load_weights(path)
    return as_frozen(copy)


def as_frozen(reference):
    """Freezes a model and everything in it, and returns it."""
    # One that was loaded as frozen says so already, and what is in it does not know;
    # assigning the value that is there does nothing on TensorFlow.
    reference.trainable = True
    reference.trainable = False
    for weight in reference.weights:
        weight.trainable = False
    return reference
