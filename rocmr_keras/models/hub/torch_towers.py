"""The towers of a torch dual encoder of `transformers` or `open_clip`, for an `Adapter`.

Neither package is imported here, nor is torch: what the model has is called.
"""

import keras
from keras import ops

from rocmr_keras.data.preprocessors.tokenizer_preprocessor import TokenizerPreprocessor
from rocmr_keras.layers.pixel_normalization import PixelNormalization

_TABLES = (
    "text_model.embeddings.token_embedding",
    "text_model.embeddings.word_embeddings",
    "text_model.token_embedding",
    "token_embedding",
    "text.token_embedding",
    "text.transformer.embeddings.word_embeddings",
)


class ImageTower(keras.layers.Layer):
    """Images to embeddings, normalisation of pixels included.

    Args:
        wrapped: A `keras.layers.TorchModuleWrapper` of the model.
        encode: Callable, from pixels `(B, 3, H, W)` to embeddings.
        mean: Three floats.
        std: Three floats.
    """

    def __init__(self, wrapped, encode, mean, std):
        super().__init__(autocast=False)
        self.wrapped, self.encode = wrapped, encode
        self.normalize = PixelNormalization(mean, std)
        self.built = True

    def call(self, images, training=False):
        set_mode(self.wrapped.module, training)
        pixels = ops.transpose(self.normalize(images), (0, 3, 1, 2))
        dtype = next(self.wrapped.module.parameters()).dtype
        return features_of(self.encode(pixels.to(dtype)))


class TorchTextTower(keras.layers.Layer):
    """Token embeddings to embeddings of texts, by the model's own code.

    The model is called with ids that stand in for the real ones: a word, the end at its place,
    padding. Its token table then answers with the rows that it is given. So positions, mask and
    pooling are whatever the model does, in each version of its package.

    Args:
        wrapped: A `keras.layers.TorchModuleWrapper` of the model.
        encode: Callable, from token ids `(B, L)` and a mask to embeddings.
        table: The `torch.nn.Embedding` of the tokens.
        preprocessor: A `TokenizerPreprocessor`.
    """

    def __init__(self, wrapped, encode, table, preprocessor):
        super().__init__(autocast=False)
        self.wrapped, self.encode = wrapped, encode
        # In a tuple: Keras would count its weights a second time.
        self.held = (table,)
        special = set(preprocessor.special_token_ids)
        self.word = next(i for i in range(preprocessor.vocabulary_size) if i not in special)
        self.pad = preprocessor.pad_token_id or 0
        self.end = preprocessor.end_token_id
        self.built = True

    def call(self, rows, padding_mask, training=False):
        set_mode(self.wrapped.module, training)
        # With the rows of each call: a hook that stayed would answer everybody.
        handle = self.held[0].register_forward_hook(
            lambda module, inputs, output: rows.to(output.dtype)
        )
        try:
            return features_of(self.encode(self.stand_ins(padding_mask), padding_mask))
        finally:
            handle.remove()

    def stand_ins(self, padding_mask):
        """Returns ids `(B, L)` whose end and padding are where the text has them."""
        mask = ops.cast(padding_mask, "int64")
        is_last = ops.logical_and(ops.cumsum(mask, axis=1) == ops.sum(mask, 1, keepdims=True), mask)
        token_ids = ops.where(padding_mask, self.word, self.pad)
        end = self.word if self.end is None else self.end
        return ops.cast(ops.where(is_last, end, token_ids), "int64")


def adapter_arguments(
    model, tokenizer, encode_images, encode_texts, image_size, sequence_length, mean, std
):
    """Returns what an `Adapter` of the model is built from, a dict.

    Args:
        model: A `torch.nn.Module` with a `logit_scale`.
        tokenizer: Its tokenizer.
        encode_images: Callable, from pixels `(B, 3, H, W)` to embeddings.
        encode_texts: Callable, from token ids and a mask, both `(B, L)`, to embeddings.
        image_size: Integer, or tuple of height and width.
        sequence_length: Integer.
        mean: Three floats.
        std: Three floats.

    Raises:
        ValueError: If the backend is not torch, or the model is of another kind.
    """
    check_backend()
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    preprocessor = TokenizerPreprocessor(tokenizer, sequence_length, size)
    table = find_table(model)
    # One for both towers: each weight is then counted once.
    wrapped = keras.layers.TorchModuleWrapper(model)
    return {
        "encode_images": ImageTower(wrapped, encode_images, mean, std),
        "encode_text_embeddings": TorchTextTower(wrapped, encode_texts, table, preprocessor),
        "embedding_table": table.weight,
        "preprocessor": preprocessor,
        "scale": lambda: ops.reshape(model.logit_scale.detach().exp(), ()),
    }


def find_table(model):
    """Returns the token table of a model, a `torch.nn.Embedding`."""
    for path in _TABLES:
        found = model
        for name in path.split("."):
            found = getattr(found, name, None)
        if hasattr(found, "weight"):
            return found
    raise ValueError(
        f"`model` must have a token table at one of {_TABLES}. Received: "
        f"{type(model).__name__}. Build an `Adapter` from two functions."
    )


def check_backend():
    """Raises a `ValueError` on a backend that cannot run torch modules."""
    if keras.config.backend() != "torch":
        raise ValueError(
            "Models of torch run on the torch backend. Received: KERAS_BACKEND="
            f"{keras.config.backend()!r}. Set it to 'torch' before the first import."
        )


def features_of(found):
    """Returns the embeddings; newer versions of `transformers` give them in an object."""
    return getattr(found, "pooler_output", found)


def set_mode(module, training):
    """Tells a module whether it trains, if it does not know."""
    if module.training != bool(training):
        module.train(bool(training))
