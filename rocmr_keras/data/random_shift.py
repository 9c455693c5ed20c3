from rocmr_keras.data.runtime import tensorflow


class RandomShift:
    """Shifts each image of a batch by whole pixels, and mirrors it if asked to.

    An augmentation for `batches(..., augment=...)` that costs a gather: on small
    images the interpolating layers of Keras take longer than a training step. Edge
    pixels are repeated where the image moved away.

    Args:
        share: Float in [0, 1), the most an image moves, of its height and width.
            Defaults to `0.1`.
        mirror: Boolean, whether half of the images are mirrored left to right: wrong
            where captions say "left" or there is writing. Defaults to `False`.
        seed: Integer. Defaults to `0`.

    Call arguments:
        images: Float tensor `(batch, height, width, channels)`.

    Returns:
        Float tensor like `images`.

    Raises:
        ValueError: If `share` is not in [0, 1).
    """

    def __init__(self, share=0.1, mirror=False, seed=0):
        if not 0 <= share < 1:
            raise ValueError(
                f"`share` must be in [0, 1). Received: share={share!r}. "
                "0.1 moves an image by up to a tenth of its side."
            )
        self.share = share
        self.mirror = mirror
        self._generator = tensorflow().random.Generator.from_seed(seed)

    def __call__(self, images):
        tf = tensorflow()
        count, height, width = tf.unstack(tf.shape(images)[:3])
        rows = self._indices(count, height)
        columns = self._indices(count, width)
        if self.mirror:
            flipped = self._generator.uniform([count, 1]) < 0.5
            columns = tf.where(flipped, width - 1 - columns, columns)
        images = tf.gather(images, rows, axis=1, batch_dims=1)
        return tf.gather(images, columns, axis=2, batch_dims=1)

    def _indices(self, count, size):
        """Returns the source row (or column) of every target one, int `(count, size)`."""
        tf = tensorflow()
        most = tf.cast(self.share * tf.cast(size, "float32"), "int32")
        moves = self._generator.uniform([count, 1], -most, most + 1, dtype="int32")
        return tf.clip_by_value(tf.range(size) + moves, 0, size - 1)
