"""Dual encoders of named sizes, trained from scratch."""

from rocmr_keras.models.convolutional_image_encoder import ConvolutionalImageEncoder
from rocmr_keras.models.dual_encoder import DualEncoder
from rocmr_keras.models.text_encoder import TextEncoder
from rocmr_keras.models.vision_transformer import VisionTransformer

# `image_size` and `sequence_length` are what the size was drawn up for; the
# preprocessor decides. `clip_b32` has the widths and depths of CLIP ViT-B/32.
SIZES = {
    "tiny": {
        "image_size": (64, 64),
        "sequence_length": 32,
        "projection_dim": 128,
        "cnn": {"stage_widths": (32, 64, 128), "stage_depths": (1, 1, 1)},
        "vit": {"patch_size": 8, "embedding_dim": 128, "num_layers": 4, "num_heads": 4},
        # No transformer block: a bag of subwords, all that short captions need.
        "text": {"embedding_dim": 128, "num_layers": 0, "num_heads": 4},
    },
    "small": {
        "image_size": (128, 128),
        "sequence_length": 32,
        "projection_dim": 256,
        "cnn": {"stage_widths": (48, 96, 192, 384), "stage_depths": (1, 2, 2, 1)},
        "vit": {"patch_size": 16, "embedding_dim": 256, "num_layers": 6, "num_heads": 4},
        "text": {"embedding_dim": 256, "num_layers": 4, "num_heads": 4},
    },
    "base": {
        "image_size": (224, 224),
        "sequence_length": 64,
        "projection_dim": 384,
        "cnn": {"stage_widths": (64, 128, 256, 512), "stage_depths": (2, 2, 2, 2)},
        "vit": {"patch_size": 16, "embedding_dim": 384, "num_layers": 12, "num_heads": 6},
        "text": {"embedding_dim": 384, "num_layers": 6, "num_heads": 6},
    },
    "clip_b32": {
        "image_size": (224, 224),
        "sequence_length": 77,
        "projection_dim": 512,
        "cnn": {"stage_widths": (96, 192, 384, 768), "stage_depths": (3, 4, 6, 3)},
        "vit": {"patch_size": 32, "embedding_dim": 768, "num_layers": 12, "num_heads": 12},
        "text": {"embedding_dim": 512, "num_layers": 12, "num_heads": 8},
    },
}
IMAGE_TOWERS = ("cnn", "vit")


def build(size, preprocessor, image_tower="cnn", dropout=0.0, text_encoder=None, **kwargs):
    """Builds a dual encoder of a named size, with fresh weights.

    The vocabulary, the length of a caption and the size of an image come
    from the preprocessor; `SIZES[size]` tells the `image_size` and
    `sequence_length` each size was drawn up for.

    Args:
        size: `"tiny"` (64 pixels; trains in minutes on two cores),
            `"small"`, `"base"`, or `"clip_b32"` (with `"vit"`, the
            dimensions of CLIP ViT-B/32).
        preprocessor: Object with `vocabulary_size`, `sequence_length` and
            `image_size`, besides what `DualEncoder` asks of it.
        image_tower: `"cnn"` or `"vit"`. Defaults to `"cnn"`.
        dropout: Float in `[0, 1)`, for the transformers. Defaults to 0.
        text_encoder: A text tower that is there already, e.g. `minilm_words()`; the images get
            its `projection_dim`. Defaults to `None`: a fresh one of the size.
        **kwargs: Further arguments of `DualEncoder`.

    Returns:
        A `DualEncoder`.

    Raises:
        ValueError: If `size` or `image_tower` is unknown, or there is no preprocessor.

    Example:

    ```python
    preprocessor = rocmr_keras.data.Preprocessor.from_captions(captions)
    model = rocmr_keras.models.build("tiny", preprocessor)
    ```
    """
    if size not in SIZES or image_tower not in IMAGE_TOWERS:
        raise ValueError(
            f"`size` must be one of {tuple(SIZES)} and `image_tower` one of "
            f"{IMAGE_TOWERS}. Received: size={size!r}, "
            f"image_tower={image_tower!r}. Other sizes: build the towers and "
            "join them in a `DualEncoder`."
        )
    _check_preprocessor(preprocessor)
    settings = SIZES[size]
    text_encoder = text_encoder or TextEncoder(
        preprocessor.vocabulary_size,
        preprocessor.sequence_length,
        projection_dim=settings["projection_dim"],
        dropout=dropout,
        name="text_encoder",
        **settings["text"],
    )
    options = {"projection_dim": text_encoder.projection_dim, "name": "image_encoder"}
    if image_tower == "cnn":
        image_encoder = ConvolutionalImageEncoder(**settings["cnn"], **options)
    else:
        options.update(image_size=preprocessor.image_size, dropout=dropout)
        image_encoder = VisionTransformer(**settings["vit"], **options)
    return DualEncoder(image_encoder, text_encoder, preprocessor, **kwargs)


def _check_preprocessor(preprocessor):
    needed = ("vocabulary_size", "sequence_length", "image_size")
    missing = [name for name in needed if not hasattr(preprocessor, name)]
    if missing:
        raise ValueError(
            f"`preprocessor` must have {', '.join(needed)}, from which the towers get their sizes. "
            f"Received: preprocessor={preprocessor!r:.80} without {', '.join(missing)}. Make one "
            "with `rocmr_keras.data.Preprocessor.from_captions(captions)`."
        )
