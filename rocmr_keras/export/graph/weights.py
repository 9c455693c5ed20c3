"""The model's weights as plain variables, in the type they are stored in."""

import keras
import tensorflow as tf


class StoredWeights(tf.Module):
    """Copies a model's weights, to be read in their place.

    The artefact then holds no Keras object. What is stored as bfloat16 takes half the room
    and is read as float32: arithmetic stays what it was, weights lose all but 8 bits.

    Args:
        model: Keras model.
        dtype: `"float32"`, as they are, or `"bfloat16"`.
    """

    def __init__(self, model, dtype="float32"):
        super().__init__()
        self._originals = list(model.variables)
        self.values = [_store(variable, dtype) for variable in self._originals]

    def scope(self):
        """Returns a scope in which the model reads the stored weights."""
        mapping = [
            (original, tf.cast(value, original.dtype))
            for original, value in zip(self._originals, self.values)
        ]
        return keras.StatelessScope(state_mapping=mapping)


def _store(variable, dtype):
    value = tf.convert_to_tensor(variable.value)
    if dtype == "bfloat16" and value.dtype.is_floating:
        value = tf.cast(value, dtype)
    return tf.Variable(value, trainable=False)
