import functools

import keras


@functools.cache
def tensorflow():
    """Returns TensorFlow as the input runtime, imported on first use.

    Reading data needs TensorFlow on every backend, computing does not. So
    the import is left to the first call that reads data, and where another
    backend does the computing TensorFlow is kept off the accelerators, whose
    memory it would otherwise reserve.

    Returns:
        The `tensorflow` module.
    """
    import tensorflow as tf

    if keras.config.backend() != "tensorflow":
        _hide_accelerators(tf)
    return tf


def _hide_accelerators(tf):
    if not tf.config.get_visible_devices("GPU"):
        return
    try:
        tf.config.set_visible_devices([], "GPU")
    except RuntimeError:
        # TensorFlow has initialised its GPUs already, so the program uses them on purpose.
        pass
