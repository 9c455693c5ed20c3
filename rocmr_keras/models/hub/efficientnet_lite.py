"""EfficientNet-Lite: image nets for small machines."""

import math
import re

import keras

from rocmr_keras.layers import DepthwiseConv2D
from rocmr_keras.layers import parts
from rocmr_keras.layers.initializers import PortableNormal

# Repeats, kernel, stride, expansion, filters of each stage.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM_FILTERS, _HEAD_FILTERS = 32, 1280


def efficientnet_lite0(num_classes=None):
    """Builds EfficientNet-Lite0, with fresh weights.

    The B0 of its family without squeeze-and-excitation and with ReLU6, so that it runs
    on integer hardware. KerasHub has its weights under no preset. Takes pixels
    `(x - 127) / 128` of bytes, of any size from 32 on; a multiple of 32 wastes none.

    Args:
        num_classes: Integer, width of the classifier on top. Defaults to `None`: none, the
            output is the last map `(B, H / 32, W / 32, 1280)`.

    Returns:
        A functional `keras.Model`.

    Reference:
        - [Tan and Le, 2019](https://arxiv.org/abs/1905.11946)
        - [EfficientNet-Lite](https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite)
    """
    return _build("efficientnet_lite0", 1.0, 1.0, num_classes)


def efficientnet_lite2(num_classes=None):
    """Builds EfficientNet-Lite2, with fresh weights.

    Lite0 with a tenth more filters and a fifth more blocks: 6.1 million weights with a
    classifier instead of 4.7. ImageNet was seen at 260 pixels.

    Args:
        num_classes: As for `efficientnet_lite0`.

    Returns:
        A functional `keras.Model`.
    """
    return _build("efficientnet_lite2", 1.1, 1.2, num_classes)


def _build(name, width, depth, num_classes):
    """Stem, head, and the number of blocks of the first and last stage never grow."""
    images = keras.Input((None, None, 3), name="images")
    x = _normalized(_convolution(images, _STEM_FILTERS, "conv_stem", 3, 2), "bn0")
    index = 0
    for stage, (repeats, kernel, stride, expansion, filters) in enumerate(_STAGES):
        if 0 < stage < len(_STAGES) - 1:
            repeats = math.ceil(depth * repeats)
        for repeat in range(repeats):
            first = stride if repeat == 0 else 1
            filters_here = _rounded(width * filters)
            x = _block(x, f"blocks_{index}", kernel, first, expansion, filters_here)
            index += 1
    x = _normalized(_convolution(x, _HEAD_FILTERS, "conv_head"), "bn1")
    if num_classes is not None:
        x = keras.layers.GlobalAveragePooling2D(name="average")(x)
        x = parts.dense(_HEAD_FILTERS, num_classes, "fc")(x)
    return keras.Model(images, x, name=name)


def _rounded(filters):
    """The nearest multiple of 8 that does not take away a tenth."""
    nearest = max(8, int(filters + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * filters else nearest


def _block(inputs, name, kernel, stride, expansion, filters):
    """The inverted bottleneck: wider, then across places, then narrow again."""
    width = inputs.shape[-1]
    x = inputs
    if expansion != 1:
        x = _convolution(x, width * expansion, f"{name}_expand_conv")
        x = _normalized(x, f"{name}_bn0")
    across = DepthwiseConv2D(
        kernel,
        stride,
        padding="same",
        use_bias=False,
        depthwise_initializer=PortableNormal((2 / kernel**2) ** 0.5),
        name=f"{name}_depthwise_conv",
    )
    x = _normalized(across(x), f"{name}_bn1")
    x = _convolution(x, filters, f"{name}_project_conv")
    x = _normalized(x, f"{name}_bn2", activation=False)
    if stride == 1 and filters == width:
        x = keras.layers.Add(name=f"{name}_add")([x, inputs])
    return x


def _convolution(x, filters, name, kernel=1, stride=1):
    width = x.shape[-1]
    options = {"kernel_size": kernel, "strides": stride, "use_bias": False}
    return parts.convolution(width, filters, name, **options)(x)


def _normalized(x, name, activation=True):
    x = keras.layers.BatchNormalization(epsilon=1e-3, name=name)(x)
    return keras.layers.ReLU(6.0, name=f"{name}_relu6")(x) if activation else x


def assign_state_dict(model, state):
    """Gives an EfficientNet-Lite the weights of a PyTorch state dict.

    Args:
        model: What `efficientnet_lite0` or `efficientnet_lite2` gives.
        state: Dict from names like `"_blocks.0._bn1.weight"` to arrays.

    Raises:
        ValueError: If a weight is missing or of another shape.
    """
    for layer in model.layers:
        if not layer.weights:
            continue
        prefix = re.sub(r"^_blocks_(\d+)_", r"_blocks.\1._", f"_{layer.name}")
        names = [f"{prefix}.{name}" for name in _names(layer)]
        missing = [name for name in names if name not in state]
        if missing:
            raise ValueError(
                f"`state` must hold every weight of {model.name}. Received: a state dict "
                f"of {len(state)} arrays without {missing[0]!r}. Pass that model's own."
            )
        layer.set_weights([_as_keras(layer, state[name]) for name in names])


def _names(layer):
    if isinstance(layer, keras.layers.BatchNormalization):
        return ("weight", "bias", "running_mean", "running_var")
    return ("weight", "bias") if isinstance(layer, keras.layers.Dense) else ("weight",)


def _as_keras(layer, array):
    if array.ndim == 4:
        is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        return array.transpose((2, 3, 0, 1) if is_depthwise else (2, 3, 1, 0))
    return array.T
