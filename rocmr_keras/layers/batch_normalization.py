import keras
from keras import ops

from rocmr_keras.backend import gather
from rocmr_keras.backend import is_part


@keras.saving.register_keras_serializable(package="rocmr_keras")
class BatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation with the statistics of the batches of all devices.

    On one device it is that of Keras, whose `synchronized` is for TensorFlow alone. Relies on a
    private method of Keras's layer, the one that measures a batch.
    """

    def _moments(self, inputs, mask):
        mean, variance = super()._moments(inputs, mask)
        if not is_part():
            return mean, variance
        # A replica may have a row more than another.
        count = ops.reshape(ops.cast(ops.shape(inputs)[0], mean.dtype), (1, 1))
        weights = gather(count)
        weights = weights / ops.sum(weights)
        means, variances = (gather(ops.expand_dims(x, 0)) for x in (mean, variance))
        mean = ops.sum(weights * means, axis=0)
        return mean, ops.sum(weights * (variances + ops.square(means - mean)), axis=0)
