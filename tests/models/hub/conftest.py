"""Tiny random backbones of every family, built once."""

import functools

import keras
import pytest

_BLOCK = {"num_layers": 1, "num_heads": 2, "hidden_dim": 16}
_VISION = {**_BLOCK, "intermediate_dim": 16, "patch_size": 8, "image_shape": (16, 16, 3)}
_TEXT = {
    **_BLOCK,
    "intermediate_dim": 16,
    "vocabulary_size": 40,
    "max_sequence_length": 8,
}
_MOBILE_NET = {
    "stackwise_expansion": [[16]],
    "stackwise_num_blocks": [1],
    "stackwise_num_filters": [[8]],
    "stackwise_kernel_size": [[3]],
    "stackwise_num_strides": [[2]],
    "stackwise_se_ratio": [[None]],
    "stackwise_activation": [["relu"]],
    "stackwise_padding": [[1]],
    "output_num_filters": 16,
    "depthwise_filters": 8,
    "depthwise_stride": 1,
    "depthwise_residual": False,
    "last_layer_filter": 16,
    "input_num_filters": 8,
}
_EFFICIENT_NET = {
    "stackwise_kernel_sizes": [3],
    "stackwise_num_repeats": [1],
    "stackwise_input_filters": [8],
    "stackwise_output_filters": [8],
    "stackwise_expansion_ratios": [1],
    "stackwise_squeeze_and_excite_ratios": [0.25],
    "stackwise_strides": [1],
    "stackwise_block_types": ["unfused"],
    "width_coefficient": 1.0,
    "depth_coefficient": 1.0,
    "num_features": 16,
}
_RES_NET = {
    "input_conv_filters": [64],
    "input_conv_kernel_sizes": [3],
    "stackwise_num_filters": [64],
    "stackwise_num_blocks": [1],
    "stackwise_num_strides": [1],
    "block_type": "basic_block",
}
_VIT = {**_BLOCK, "mlp_dim": 16, "patch_size": 8, "image_shape": (16, 16, 3)}

FAMILIES = {
    "clip_vision": ("CLIPVisionEncoder", _VISION),
    "siglip_vision": ("SigLIPVisionEncoder", _VISION),
    "vit": ("ViTBackbone", _VIT),
    "resnet": ("ResNetBackbone", _RES_NET),
    "efficientnet": ("EfficientNetBackbone", _EFFICIENT_NET),
    "mobilenet": ("MobileNetBackbone", _MOBILE_NET),
    "clip_text": ("CLIPTextEncoder", {**_TEXT, "embedding_dim": 16}),
    "siglip_text": ("SigLIPTextEncoder", {**_TEXT, "embedding_dim": 16}),
    "bert": ("BertBackbone", _TEXT),
    "distil_bert": ("DistilBertBackbone", _TEXT),
    "roberta": ("RobertaBackbone", _TEXT),
    "albert": ("AlbertBackbone", {**_TEXT, "embedding_dim": 8}),
}


def build(family, **changes):
    """Builds a new backbone."""
    import keras_hub

    if family == "application":
        return _in_the_manner_of_applications()
    if family in ("clip", "siglip"):
        towers = [build(f"{family}_{kind}") for kind in ("vision", "text")]
        if family == "siglip":
            return keras_hub.models.SigLIPBackbone(*towers)
        return keras_hub.models.CLIPBackbone(*towers, projection_dim=12)
    name, options = FAMILIES[family]
    return getattr(keras_hub.models, name)(**{**options, **changes})


def _in_the_manner_of_applications():
    # A bare tensor as input, its own scaling inside, pooled: the real ones are slow to build.
    images = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1.0)(images)
    x = keras.layers.Conv2D(8, 3, 2, name="stem")(x)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


@pytest.fixture(scope="session")
def build_backbone():
    return build


@pytest.fixture(scope="session")
def backbone():
    """One backbone of each family for all tests that change none of its weights."""
    return functools.cache(build)
