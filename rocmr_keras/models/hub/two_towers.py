"""KerasHub's two-tower models, taken apart into towers and put together again."""

import math

from keras import ops

from rocmr_keras.layers.similarity_head import MAX_SCALE
from rocmr_keras.models.hub.backbone_image_encoder import BackboneImageEncoder
from rocmr_keras.models.hub.backbone_image_encoder import pixel_statistics
from rocmr_keras.models.hub.backbone_text_encoder import BackboneTextEncoder

# What each family was trained with, where no image converter says so.
_CLIP_PIXELS = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
}
_SIGLIP_PIXELS = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


def family_of(backbone):
    """Tells `"clip"` from `"siglip"` by the head of the model.

    Args:
        backbone: A `keras_hub.models.CLIPBackbone` or `SigLIPBackbone`.

    Returns:
        String.

    Raises:
        ValueError: If it is neither.
    """
    for family in ("clip", "siglip"):
        if hasattr(backbone, f"{family}_head") and hasattr(backbone, "text_encoder"):
            return family
    raise ValueError(
        "`backbone` must be a two-tower model, a CLIPBackbone or SigLIPBackbone of KerasHub. "
        f"Received: backbone={backbone}. Join single towers by "
        "DualEncoder(BackboneImageEncoder(...), BackboneTextEncoder(...))."
    )


def take_apart(backbone, image_converter=None):
    """Makes the arguments of a `DualEncoder` from a two-tower model.

    Args:
        backbone: A `keras_hub.models.CLIPBackbone` or `SigLIPBackbone`.
        image_converter: Its image converter, or `None` for the normalisation of pixels
            that the family was published with.

    Returns:
        Tuple of a dict of arguments, and logarithm of the scale and bias to be set.
    """
    family = family_of(backbone)
    head = getattr(backbone, f"{family}_head")
    pixels = _CLIP_PIXELS if family == "clip" else _SIGLIP_PIXELS
    if image_converter is not None:
        pixels = dict(zip(("mean", "std"), pixel_statistics(image_converter)))
    image_options, text_options = {}, {}
    if family == "clip":
        image_options = {"pooling": "cls", "projection_dim": backbone.projection_dim}
        text_options = {"pooling": "end", "projection_dim": backbone.projection_dim}
    images = BackboneImageEncoder(
        backbone.vision_encoder, name="image_encoder", **pixels, **image_options
    )
    texts = BackboneTextEncoder(backbone.text_encoder, name="text_encoder", **text_options)
    if family == "clip":
        images.head.set_weights(backbone.vision_projection.get_weights())
        texts.head.set_weights(backbone.text_projection.get_weights())
    log_scale = float(ops.convert_to_numpy(head.logit_scale))
    bias = float(ops.convert_to_numpy(head.logit_bias)) if family == "siglip" else None
    arguments = {
        "image_encoder": images,
        "text_encoder": texts,
        "use_logit_bias": family == "siglip",
        # Weights above the usual limit keep the scale that they were published with.
        "max_scale": max(MAX_SCALE, math.exp(log_scale)),
    }
    return arguments, log_scale, bias


def put_together(image_encoder, text_encoder, similarity_head):
    """Makes a KerasHub two-tower model again, which shares the two encoders.

    Args:
        image_encoder: A `BackboneImageEncoder` as `take_apart` gives.
        text_encoder: A `BackboneTextEncoder` as `take_apart` gives.
        similarity_head: A `rocmr_keras.layers.SimilarityHead`.

    Returns:
        A `keras_hub.models.CLIPBackbone` or `SigLIPBackbone`.

    Raises:
        ValueError: If the towers come from somewhere else.
    """
    names = [type(getattr(t, "backbone", None)).__name__ for t in (image_encoder, text_encoder)]
    family = {
        ("CLIPVisionEncoder", "CLIPTextEncoder"): "clip",
        ("SigLIPVisionEncoder", "SigLIPTextEncoder"): "siglip",
    }.get(tuple(names))
    heads = [getattr(tower, "head", None) for tower in (image_encoder, text_encoder)]
    # CLIP has plain projections, SigLIP none.
    has_plain = [head is not None and head.hidden_dim is None for head in heads]
    if family is None or has_plain != [family == "clip"] * 2 or any(heads) != (family == "clip"):
        raise ValueError(
            "Only a CLIP or SigLIP that came by `from_backbone` or `from_preset` can go back. "
            f"Received: towers {names} with heads {heads}. Use `model.save(path)`."
        )
    import keras_hub

    encoders = {"vision_encoder": image_encoder.backbone, "text_encoder": text_encoder.backbone}
    if family == "clip":
        backbone = keras_hub.models.CLIPBackbone(
            **encoders, projection_dim=image_encoder.projection_dim
        )
        backbone.vision_projection.set_weights(heads[0].get_weights())
        backbone.text_projection.set_weights(heads[1].get_weights())
        backbone.clip_head.logit_scale.assign(similarity_head.logit_scale)
        return backbone
    backbone = keras_hub.models.SigLIPBackbone(**encoders)
    backbone.siglip_head.logit_scale.assign(similarity_head.logit_scale)
    backbone.siglip_head.logit_bias.assign(similarity_head.bias())
    return backbone
