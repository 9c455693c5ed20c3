"""How a dual encoder comes from ready-made models, and goes back to them."""

import os

from rocmr_keras.data.preprocessors.hub_preprocessor import HubPreprocessor
from rocmr_keras.models.hub import huggingface
from rocmr_keras.models.hub import two_towers


def from_backbone(cls, backbone, preprocessor, image_converter, **kwargs):
    """Does what `DualEncoder.from_backbone` says; `cls` is the class that is made."""
    arguments, log_scale, bias = two_towers.take_apart(backbone, image_converter)
    model = cls(preprocessor=preprocessor, **arguments, **kwargs)
    model.similarity_head.logit_scale.assign(log_scale)
    if bias is not None:
        model.similarity_head.logit_bias.assign(bias)
    return model


def to_backbone(model):
    """Does what `DualEncoder.to_backbone` says."""
    return two_towers.put_together(model.image_encoder, model.text_encoder, model.similarity_head)


def from_preset(cls, preset, **kwargs):
    """Does what `DualEncoder.from_preset` says; `cls` is the class that is made."""
    if huggingface.family_of_folder(preset) is not None:
        backbone = huggingface.load_backbone(preset)
        tokenizer = huggingface.load_tokenizer(preset)
        converter = huggingface.load_image_converter(preset)
    else:
        backbone, tokenizer, converter = _load(preset)
    preprocessor = None
    if tokenizer is not None:
        preprocessor = HubPreprocessor(
            tokenizer,
            backbone.text_encoder.max_sequence_length,
            backbone.vision_encoder.image_shape[:2],
            interpolation=getattr(converter, "interpolation", "bilinear"),
            crop=getattr(converter, "crop_to_aspect_ratio", True),
        )
    return cls.from_backbone(backbone, preprocessor, converter, **kwargs)


def save_to_preset(model, folder):
    """Does what `DualEncoder.save_to_preset` says."""
    backbone = model.to_backbone()
    backbone.save_to_preset(str(folder))
    if isinstance(model.preprocessor, HubPreprocessor):
        _save_preprocessor(model, two_towers.family_of(backbone), str(folder))


def _load(preset):
    import keras_hub

    preset = os.fspath(preset)
    backbone = keras_hub.models.Backbone.from_preset(preset)
    family = two_towers.family_of(backbone)
    if os.path.isdir(preset) and not os.path.exists(os.path.join(preset, "tokenizer.json")):
        return backbone, None, None
    preprocessors = {
        "clip": keras_hub.models.CLIPPreprocessor,
        "siglip": keras_hub.models.SigLIPPreprocessor,
    }
    preprocessor = preprocessors[family].from_preset(preset)
    return backbone, preprocessor.tokenizer, preprocessor.image_converter


def _save_preprocessor(model, family, folder):
    import keras_hub

    name = "CLIP" if family == "clip" else "SigLIP"
    mean, std = model.image_encoder.mean, model.image_encoder.std
    ours = model.preprocessor
    converter = getattr(keras_hub.layers, f"{name}ImageConverter")(
        image_size=ours.image_size,
        scale=[1 / (255 * s) for s in std],
        offset=[-m / s for m, s in zip(mean, std)],
        interpolation=ours.interpolation,
        crop_to_aspect_ratio=ours.crop,
        antialias=True,
    )
    preprocessor = getattr(keras_hub.models, f"{name}Preprocessor")(
        ours.tokenizer, converter, sequence_length=ours.sequence_length
    )
    preprocessor.save_to_preset(folder)
