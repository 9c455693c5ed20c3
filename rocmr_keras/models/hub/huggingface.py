"""CLIP and SigLIP from a local folder in the layout of HuggingFace's transformers."""

import json
import pathlib

import numpy as np

from rocmr_keras.models.hub.huggingface_weights import assign_checkpoint
from rocmr_keras.models.hub.packages import require

_WEIGHTS = "model.safetensors"
# Values that a config.json leaves out where they are the usual ones.
_DEFAULTS = {
    "clip": {
        "text_config": {
            "vocab_size": 49408,
            "hidden_size": 512,
            "intermediate_size": 2048,
            "num_hidden_layers": 12,
            "num_attention_heads": 8,
            "max_position_embeddings": 77,
            "hidden_act": "quick_gelu",
        },
        "vision_config": {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "image_size": 224,
            "patch_size": 32,
            "hidden_act": "quick_gelu",
        },
    },
    "siglip": {
        "text_config": {
            "vocab_size": 32000,
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "max_position_embeddings": 64,
            "hidden_act": "gelu_pytorch_tanh",
        },
        "vision_config": {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "image_size": 224,
            "patch_size": 16,
            "hidden_act": "gelu_pytorch_tanh",
        },
    },
}
_ACTIVATIONS = {"gelu_pytorch_tanh": "gelu_approximate"}


def family_of_folder(folder):
    """Tells whether a folder holds a CLIP or SigLIP of transformers.

    Args:
        folder: Path, or a handle of KerasHub, which is no folder.

    Returns:
        `"clip"`, `"siglip"`, or `None` for anything else.
    """
    path = pathlib.Path(folder) / "config.json"
    if not path.is_file():
        return None
    family = json.loads(path.read_text(encoding="utf-8")).get("model_type")
    return family if family in _DEFAULTS else None


def load_backbone(folder):
    """Builds the KerasHub model of a folder and gives it the weights.

    Args:
        folder: Path of a folder with `config.json` and `model.safetensors`.

    Returns:
        A `keras_hub.models.CLIPBackbone` or `SigLIPBackbone`.

    Raises:
        ValueError: If the weights are not there, incomplete, or of another shape.
    """
    folder = pathlib.Path(folder)
    family = family_of_folder(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    backbone = _build(family, config)
    assign_checkpoint(backbone, family, _read(folder / _WEIGHTS))
    return backbone


def _read(path):
    require(("safetensors", "safetensors"))
    from safetensors.numpy import load_file

    if not path.is_file():
        raise ValueError(
            f"A folder of transformers must hold its weights in {_WEIGHTS!r}. Received: no file "
            f"{str(path)!r}. Save it in one file: model.save_pretrained(folder)."
        )
    return {name: value.astype("float32") for name, value in load_file(path).items()}


def _build(family, config):
    import keras_hub

    texts = {**_DEFAULTS[family]["text_config"], **config.get("text_config", {})}
    images = {**_DEFAULTS[family]["vision_config"], **config.get("vision_config", {})}
    size = images["image_size"]
    vision = {"patch_size": images["patch_size"], "image_shape": (size, size, 3)}
    text = {
        "vocabulary_size": texts["vocab_size"],
        "embedding_dim": texts["hidden_size"],
        "max_sequence_length": texts["max_position_embeddings"],
    }
    models = keras_hub.models
    if family == "clip":
        return models.CLIPBackbone(
            models.CLIPVisionEncoder(**vision, **_sizes(images)),
            models.CLIPTextEncoder(**text, **_sizes(texts)),
            projection_dim=config.get("projection_dim", 512),
        )
    text["projection_dim"] = texts.get("projection_size") or texts["hidden_size"]
    for options, source in ((vision, images), (text, texts)):
        options["layer_norm_epsilon"] = source.get("layer_norm_eps", 1e-6)
    return models.SigLIPBackbone(
        models.SigLIPVisionEncoder(**vision, **_sizes(images)),
        models.SigLIPTextEncoder(**text, **_sizes(texts)),
    )


def _sizes(config):
    return {
        "hidden_dim": config["hidden_size"],
        "num_layers": config["num_hidden_layers"],
        "num_heads": config["num_attention_heads"],
        "intermediate_dim": config["intermediate_size"],
        "intermediate_activation": _ACTIVATIONS.get(config["hidden_act"], config["hidden_act"]),
    }


def load_tokenizer(folder):
    """Builds the KerasHub tokenizer of a folder.

    Args:
        folder: Path; CLIP's has `vocab.json` and `merges.txt`, or `tokenizer.json`;
            SigLIP's has `spiece.model`.

    Returns:
        A KerasHub tokenizer, or `None` if the folder has no such file.
    """
    import keras_hub

    folder = pathlib.Path(folder)
    if family_of_folder(folder) == "siglip":
        path = folder / "spiece.model"
        return keras_hub.models.SigLIPTokenizer(path.read_bytes()) if path.is_file() else None
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        merges = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")
    elif (folder / "tokenizer.json").is_file():
        model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
        vocabulary = model["vocab"]
        merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    else:
        return None
    merges = [merge for merge in merges if merge and not merge.startswith("#version")]
    return keras_hub.models.CLIPTokenizer(vocabulary, merges)


def load_image_converter(folder):
    """Builds an image converter from `preprocessor_config.json`, `None` without one.

    Args:
        folder: Path.

    Returns:
        A `keras_hub.layers.ImageConverter` or `None`.
    """
    path = pathlib.Path(folder) / "preprocessor_config.json"
    if not path.is_file():
        return None
    import keras_hub

    config = json.loads(path.read_text(encoding="utf-8"))
    mean, std = np.array(config["image_mean"]), np.array(config["image_std"])
    return keras_hub.layers.ImageConverter(
        scale=(1 / (255 * std)).tolist(),
        offset=(-mean / std).tolist(),
        # The numbers of Pillow.
        interpolation="bicubic" if config.get("resample") == 3 else "bilinear",
        crop_to_aspect_ratio=bool(config.get("do_center_crop", False)),
        antialias=True,
    )
