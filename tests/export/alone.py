"""Runs an artefact with TensorFlow and tensorflow-text's op libraries, and nothing else.

    python alone.py artefact calls.pickle answers.pickle

Each call is a name of a signature and a dict of arrays; each answer a dict of arrays, or the
error as a string.
"""

import glob
import importlib.util
import os
import pickle
import sys

BLOCKED = ("keras", "keras_hub", "rocmr_keras", "tensorflow_text", "tf_keras", "jax", "torch")


def load_text_ops():
    """The libraries of the package that may not be imported."""
    places = importlib.util.find_spec("tensorflow").submodule_search_locations
    text = os.path.join(os.path.dirname(places[0]), "tensorflow_text", "python", "ops")
    for path in sorted(glob.glob(os.path.join(text, "_*.so"))):
        tf.load_op_library(path)


def answer(signatures, name, inputs):
    try:
        tensors = {key: tf.constant(value) for key, value in inputs.items()}
        return {key: value.numpy() for key, value in signatures[name](**tensors).items()}
    except tf.errors.OpError as error:
        return f"{type(error).__name__}: {error.message}"


if __name__ == "__main__":
    # To Python these are now not installed, also where TensorFlow only looks for them.
    sys.modules.update(dict.fromkeys(BLOCKED))
    import tensorflow as tf

    load_text_ops()
    loaded = tf.saved_model.load(sys.argv[1])
    with open(sys.argv[2], "rb") as file:
        calls = pickle.load(file)
    answers = [answer(loaded.signatures, *call) for call in calls]
    assert not any(module and name.split(".")[0] in BLOCKED for name, module in sys.modules.items())
    with open(sys.argv[3], "wb") as file:
        pickle.dump(answers, file)
