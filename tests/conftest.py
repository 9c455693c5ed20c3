"""Settings of the whole suite, which runs once for each `KERAS_BACKEND`."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# On JAX most of the suite is compiling, and a good part of that is optimising.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import keras

if keras.config.backend() == "torch":
    # Before TensorFlow, as Keras itself does: the other order can crash.
    import torch  # noqa: F401
