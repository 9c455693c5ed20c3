import keras
from keras import ops

from rocmr_keras.backend import draw_rows
from rocmr_keras.backend import is_part


@keras.saving.register_keras_serializable(package="rocmr_keras")
class Dropout(keras.layers.Dropout):
    """Dropout of which several devices draw what one would.

    On one device, and outside of a training step, it is that of Keras.
    """

    def call(self, inputs, training=False):
        if not (training and self.rate and is_part()):
            return super().call(inputs, training=training)
        return inputs * draw_rows(self._draw, ops.shape(inputs), dtype=inputs.dtype)

    def _draw(self, shape, dtype):
        return super().call(ops.ones(shape, dtype), training=True)
