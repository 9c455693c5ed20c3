"""How a dual encoder comes from ready-made models, and goes back to them."""

import os

from rocmr_keras.data.preprocessors.hub_preprocessor import HubPreprocessor
from rocmr_keras.models.hub import huggingface
from rocmr_keras.models.hub import two_towers


class Presets:
    """The constructors and savers of a `DualEncoder` that know KerasHub."""

    @classmethod
    def from_backbone(cls, backbone, preprocessor=None, image_converter=None, **kwargs):
        """Makes a dual encoder of a two-tower model of KerasHub.

        With its own projections, scale and bias; embeddings and logits are those of
        the model's own forward pass, but safe where an embedding is zero. The two
        encoders are shared, not copied; projections, scale and bias are copied.

        Args:
            backbone: A `keras_hub.models.CLIPBackbone` or `SigLIPBackbone`.
            preprocessor: As for the class, e.g. a `rocmr_keras.data.HubPreprocessor`.
                Without one no token is protected from attack. Defaults to `None`.
            image_converter: A `keras_hub.layers.ImageConverter`, whose scale and
                offset become the tower's normalisation. Defaults to `None`: mean and
                deviation that the family was published with.
            **kwargs: `name`, `trainable`, `dtype` of a Keras model.

        Returns:
            A `DualEncoder`.

        Raises:
            ValueError: If `backbone` is no two-tower model.

        Example:

        ```python
        backbone = keras_hub.models.Backbone.from_preset("clip_vit_base_patch32")
        model = rocmr_keras.models.DualEncoder.from_backbone(backbone)
        ```
        """
        arguments, log_scale, bias = two_towers.take_apart(backbone, image_converter)
        model = cls(preprocessor=preprocessor, **arguments, **kwargs)
        model.similarity_head.logit_scale.assign(log_scale)
        if bias is not None:
            model.similarity_head.logit_bias.assign(bias)
        return model

    def to_backbone(self):
        """Puts the KerasHub model together again, e.g. after robust fine-tuning.

        Returns:
            A `keras_hub.models.CLIPBackbone` or `SigLIPBackbone`, which shares the two
            encoders with this model.

        Raises:
            ValueError: If this model did not come from one.
        """
        return two_towers.put_together(self.image_encoder, self.text_encoder, self.similarity_head)

    @classmethod
    def from_preset(cls, preset, **kwargs):
        """Loads a CLIP or SigLIP with its tokenizer, image converter and weights.

        KerasHub's presets are KerasHub's business: it finds, fetches and keeps them.
        Folders in the layout of HuggingFace's transformers, for which KerasHub has no
        converter, are converted here; they need the package `safetensors`.

        Args:
            preset: String, a preset of KerasHub such as `"clip_vit_base_patch32"`, a
                handle `kaggle://`, `hf://` or `modelscope://`, or the path of a local
                folder: of KerasHub, or of transformers (`config.json` and
                `model.safetensors`).
            **kwargs: `name`, `trainable`, `dtype` of a Keras model.

        Returns:
            A `DualEncoder` with a `rocmr_keras.data.HubPreprocessor`; with none if a
            local folder has no tokenizer.

        Raises:
            ValueError: If it is no CLIP or SigLIP, or a file of it cannot be used.

        Example:

        ```python
        model = rocmr_keras.models.DualEncoder.from_preset("clip_vit_base_patch32")
        ```
        """
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

    def save_to_preset(self, folder):
        """Saves a preset that KerasHub and `from_preset` read.

        Args:
            folder: Path of a folder, made if it is not there.

        Raises:
            ValueError: If this model did not come from a CLIP or SigLIP. Others are
                saved by `model.save`.
        """
        backbone = self.to_backbone()
        backbone.save_to_preset(str(folder))
        if isinstance(self.preprocessor, HubPreprocessor):
            _save_preprocessor(self, two_towers.family_of(backbone), str(folder))


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
