"""What backbones take and give, and how their output becomes one vector."""

import keras
from keras import ops


def image_input(backbone):
    """Finds name and size of the one image that a backbone takes.

    Args:
        backbone: A functional Keras model.

    Returns:
        Tuple of the input's key (`None` for a model that takes a bare tensor) and
        `(height, width)`, `None` where any will do.

    Raises:
        ValueError: If it takes anything else.
    """
    inputs = getattr(backbone, "input", None)
    name = None
    if isinstance(inputs, dict) and len(inputs) == 1:
        ((name, inputs),) = inputs.items()
    shape = tuple(getattr(inputs, "shape", ()))
    if len(shape) != 4 or shape[-1] != 3:
        raise ValueError(
            "`backbone` must be a functional model of one image input (B, H, W, 3), "
            f"channels last. Received: backbone={backbone} with input {inputs}. A model of "
            "two towers goes into `DualEncoder.from_backbone`."
        )
    return name, shape[1:3]


def number_positions(backbone):
    """Numbers the positions of a fresh CLIP vision encoder, which KerasHub leaves at 0."""
    for layer in backbone.layers:
        ids = getattr(layer, "position_ids", None)
        if ids is not None and not ops.convert_to_numpy(ids).any():
            ids.assign(ops.arange(ids.shape[1], dtype=ids.dtype)[None])


def main_output(backbone, pooling):
    """Finds the symbolic output that is pooled, see `pick`."""
    return pick(backbone.output, pooling)


def pick(outputs, pooling):
    """Picks among several outputs.

    Args:
        outputs: Tensor, or dict of tensors.
        pooling: Name of the pooling or `None`.

    Returns:
        A tensor: `"pooled_output"` if that is what is asked for, else the sequence.

    Raises:
        ValueError: If there is no such output.
    """
    if not isinstance(outputs, dict):
        return outputs
    name = "pooled_output" if pooling == "pooled" else "sequence_output"
    if name not in outputs:
        raise ValueError(
            f"A `backbone` of several outputs must have a {name!r}. Received: outputs "
            f"{tuple(outputs)}. Wrap the one that you want: keras.Model(backbone.input, "
            "backbone.output[...])."
        )
    return outputs[name]


def check_pooling(pooling, output, allowed):
    """Checks a pooling against the output it is for.

    Args:
        pooling: Name or `None`.
        output: Tensor of rank 2, 3 or 4.
        allowed: Names, the default of each rank first: of vectors, tokens and maps.

    Returns:
        The name of the pooling, never `None`.

    Raises:
        ValueError: If the name is unknown or does not fit the rank.
    """
    rank = len(output.shape)
    default = {2: allowed[0], 3: allowed[1], 4: "average"}.get(rank)
    kind = pooling or default
    fits = {2: ("pooled",), 3: allowed[1:], 4: ("average",)}.get(rank, ())
    if kind not in fits:
        raise ValueError(
            f"`pooling` must be one of {allowed} and fit the output of the backbone. Received: "
            f"pooling={pooling!r}, output of shape {tuple(output.shape)}. Vectors are 'pooled' "
            "already; maps are averaged; None chooses."
        )
    return kind


def pool(x, kind):
    """Pools a float tensor of rank 2 to 4 to float32 vectors `(B, width)`."""
    x = ops.cast(x, "float32")
    if kind == "cls":
        return x[:, 0]
    if kind == "average":
        return ops.mean(x, axis=tuple(range(1, len(x.shape) - 1)))
    return x


def backbone_config(backbone):
    """Describes a backbone, and which of its layers are frozen: its own config does not."""
    return {
        "backbone": keras.saving.serialize_keras_object(backbone),
        "frozen_layers": [layer.name for layer in backbone.layers if not layer.trainable],
    }


def with_backbone(config, custom_objects=None):
    """Copies the config of a tower, its backbone built and frozen as it was."""
    config = dict(config)
    backbone = keras.saving.deserialize_keras_object(
        config["backbone"], custom_objects=custom_objects
    )
    frozen = set(config.pop("frozen_layers", ()))
    if all(layer.name in frozen for layer in backbone.layers):
        backbone.trainable = False
    for layer in backbone.layers:
        layer.trainable = layer.name not in frozen
    return {**config, "backbone": backbone}
