"""Vectors of length 1."""

from keras import ops


def l2_normalize(x, axis=-1, floor=1e-6):
    """Scales vectors to Euclidean length 1, safely at zero.

    The arithmetic is float32 whatever the dtype of `x`: the square of a
    float16 activation overflows at 256. A vector shorter than `floor` is
    divided by `floor`, so a zero vector stays zero and its gradient stays
    finite.

    Args:
        x: Float tensor.
        axis: Integer, the axis the length is taken over. Defaults to `-1`.
        floor: Float, smallest length divided by, above 0. Defaults to `1e-6`.

    Returns:
        Float32 tensor of the shape of `x`.

    Example:

    ```python
    rocmr_keras.layers.l2_normalize(np.array([[3.0, 4.0]]))  # [[0.6, 0.8]]
    ```
    """
    x = ops.cast(x, "float32")
    squared = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(squared, floor**2))
