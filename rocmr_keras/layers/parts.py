"""Built Keras layers with portable initial weights."""

import keras

from rocmr_keras.layers.batch_normalization import BatchNormalization
from rocmr_keras.layers.convolutions import Conv2D
from rocmr_keras.layers.initializers import PortableNormal

NORMALIZATIONS = ("batch", "group", "none")
GROUP_WIDTH = 16


def dense(input_dim, units, name, dtype=None, **kwargs):
    """Makes a built dense layer whose outputs keep the variance of its inputs.

    Args:
        input_dim: Integer, width of the inputs.
        units: Integer, width of the outputs.
        name: String, name of the layer.
        dtype: Dtype or policy of the layer.
        **kwargs: Further arguments of `keras.layers.Dense`.

    Returns:
        A built `keras.layers.Dense`.
    """
    layer = keras.layers.Dense(
        units,
        kernel_initializer=PortableNormal(input_dim**-0.5),
        name=name,
        dtype=dtype,
        **kwargs,
    )
    layer.build((None, input_dim))
    return layer


def convolution(input_dim, filters, name, dtype=None, **kwargs):
    """Makes a built convolution that suits a rectifier-like activation.

    Args:
        input_dim: Integer, number of input channels.
        filters: Integer, number of output channels.
        name: String, name of the layer.
        dtype: Dtype or policy of the layer.
        **kwargs: Further arguments of `rocmr_keras.layers.Conv2D`;
            `kernel_size` defaults to 3, `padding` to `"same"`,
            `kernel_initializer` to He's normal distribution.

    Returns:
        A built `Conv2D`.
    """
    kwargs = {"kernel_size": 3, "padding": "same", **kwargs}
    fan_in = input_dim * kwargs["kernel_size"] ** 2
    kwargs.setdefault("kernel_initializer", PortableNormal((2 / fan_in) ** 0.5))
    layer = Conv2D(filters, name=name, dtype=dtype, **kwargs)
    layer.build((None, None, None, input_dim))
    return layer


def layer_norm(dim, name, dtype=None, rank=3):
    """Makes a built layer normalisation of the last axis, of width `dim`."""
    layer = keras.layers.LayerNormalization(epsilon=1e-5, name=name, dtype=dtype)
    # Keras 3.16 counts the axis from the front, and so knows inputs of this rank only.
    layer.build((None,) * (rank - 1) + (dim,))
    return layer


def image_norm(kind, dim, name, dtype=None):
    """Makes a built normalisation layer for images.

    Args:
        kind: `"batch"`, `"group"` (groups of 16 channels, or of all of them
            where 16 does not divide them) or `"none"`.
        dim: Integer, number of channels.
        name: String, name of the layer.
        dtype: Dtype or policy of the layer.

    Returns:
        A built Keras layer.

    Raises:
        ValueError: If `kind` is none of the three.
    """
    if kind == "batch":
        # At Keras's momentum of 0.99 the moving statistics, which the attack
        # reads, lag hundreds of steps behind the weights.
        layer = BatchNormalization(momentum=0.9, epsilon=1e-5, name=name, dtype=dtype)
    elif kind == "group":
        groups = 1 if dim % GROUP_WIDTH else dim // GROUP_WIDTH
        layer = keras.layers.GroupNormalization(groups, epsilon=1e-5, name=name, dtype=dtype)
    elif kind == "none":
        layer = keras.layers.Identity(name=name, dtype=dtype)
    else:
        raise ValueError(
            f"`normalization` must be one of {NORMALIZATIONS}. Received: "
            f"normalization={kind!r}. Batch statistics are quickest; the "
            "others behave alike in training and under attack."
        )
    layer.build((None, None, None, dim))
    return layer
