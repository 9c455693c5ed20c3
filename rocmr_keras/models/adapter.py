"""Any dual encoder, seen through the few functions that an evaluation calls."""

import keras
from keras import ops

from rocmr_keras.layers.normalization import l2_normalize
from rocmr_keras.models import towers

_LAYOUTS = ("channels_last", "channels_first")
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class Adapter(keras.Model):
    """Makes a trained dual encoder of any origin attackable and evaluable.

    Two functions are enough: from images to embeddings, and from token *embeddings* to
    embeddings; the attack on a text enters between its embedding table and the rest.
    `from_transformers` and `from_open_clip` know them for models of these packages.
    Unlike `DualEncoder` it is not for training and not saved: save what it wraps. On the
    torch backend the functions can be plain `torch.nn.Module`s.

    This is all that evaluation asks of a model, here or in a class of your own:

    - `encode_images(images, training=False)`: float `(B, H, W, 3)` in `[0, 1]` to `(B, P)`,
      rows of length 1, differentiable in the images. Normalisation of pixels is inside.
    - `encode_texts(token_ids, padding_mask, training=False)`: `(B, L)` twice to `(B, P)`.
    - `embed_tokens(token_ids)`: `(B, L)` to `(B, L, D)`, rows of the table, without positions.
    - `encode_text_embeddings(embeddings, padding_mask, training=False)`: the rest of
      `encode_texts`, differentiable in the embeddings.
    - `text_encoder.embedding_table`: `(vocabulary_size, D)`.
    - `special_token_ids`: ids that no attack may change or write.
    - `scale()`: the inverse temperature, a scalar.
    - `preprocessor`: `tokenize(texts)` gives a dict of `token_ids` and `padding_mask`,
      `load_images(images)` float images; `detokenize(token_ids)`, `image_size` and
      `vocabulary` for pictures and transfer.

    Args:
        encode_images: Callable or Keras layer, `(B, H, W, 3)` in `[0, 1]` to `(B, P)`. It
            need not normalise its rows; `normalize=False` gives them as they come.
        encode_text_embeddings: Callable or Keras layer, called with `(B, L, D)` token
            embeddings and a `(B, L)` boolean padding mask, to `(B, P)`.
        embedding_table: Weight or array `(vocabulary_size, D)`.
        preprocessor: Object as above.
        embed_tokens: Callable or Keras layer, `(B, L)` ids to `(B, L, D)`. Defaults to
            `None`: rows of the table.
        scale: Float or callable without arguments, the inverse temperature. Defaults to
            `100.0`, that of CLIP.
        special_token_ids: Integers. Defaults to `None`, those of the preprocessor.
        data_format: `"channels_last"` or `"channels_first"`, how `encode_images` wants
            its images. Defaults to `"channels_last"`.
        **kwargs: `name`, `dtype` of a Keras model.

    Raises:
        ValueError: If something is not callable, the table is no matrix, or the data
            format is unknown.

    Example:

    ```python
    model = rocmr_keras.models.Adapter(
        encode_images=backbone.vision_tower,
        encode_text_embeddings=lambda rows, mask: text_tower([rows, mask]),
        embedding_table=backbone.token_embedding.embeddings,
        preprocessor=preprocessor,
    )
    report = rocmr_keras.evaluation.evaluate(model, split, {"pgd": PGD(4 / 255)})
    ```
    """

    def __init__(
        self,
        encode_images,
        encode_text_embeddings,
        embedding_table,
        preprocessor,
        embed_tokens=None,
        scale=100.0,
        special_token_ids=None,
        data_format="channels_last",
        **kwargs,
    ):
        # What it wraps decides on precision; Keras would else round pixels on entry.
        super().__init__(autocast=False, **kwargs)
        _check(encode_images, encode_text_embeddings, embed_tokens, data_format)
        if len(embedding_table.shape) != 2:
            raise ValueError(
                "`embedding_table` must have shape (vocabulary_size, D). Received: "
                f"shape {tuple(embedding_table.shape)}. Pass the weight of the embedding."
            )
        self.image_function = _as_layer(encode_images)
        self.text_function = _as_layer(encode_text_embeddings)
        self.embed_function = _as_layer(embed_tokens)
        self.embedding_table = embedding_table
        self.preprocessor = preprocessor
        self.inverse_temperature = scale
        if special_token_ids is None:
            special_token_ids = getattr(preprocessor, "special_token_ids", ())
        self.special_token_ids = tuple(special_token_ids)
        self.data_format = data_format
        self.built = True

    @classmethod
    def from_transformers(
        cls,
        model,
        tokenizer,
        image_size=None,
        mean=_CLIP_MEAN,
        std=_CLIP_STD,
        sequence_length=None,
        use_mask=True,
    ):
        """Adapts a dual encoder of `transformers`, such as a `CLIPModel`, on the torch backend.

        Args:
            model: A model with `get_image_features` and `get_text_features`.
            tokenizer: Its tokenizer, padding on the right.
            image_size: Integer, or tuple of height and width. Defaults to `None`, that of
                the model's config.
            mean: Three floats, of pixels in `[0, 1]`. Defaults to those of CLIP.
            std: Three floats. Defaults to those of CLIP.
            sequence_length: Integer. Defaults to `None`, the positions of the model's config.
            use_mask: Boolean, whether the model hears which tokens are padding. SigLIP was
                trained without: `False`. Defaults to `True`.

        Returns:
            An `Adapter`.

        Raises:
            ValueError: If the backend is not torch, or the model or the tokenizer is of
                another kind.

        Example:

        ```python
        name = "openai/clip-vit-base-patch32"
        model = transformers.CLIPModel.from_pretrained(name)
        tokenizer = transformers.CLIPTokenizerFast.from_pretrained(name)
        adapter = rocmr_keras.models.Adapter.from_transformers(model, tokenizer)
        ```
        """
        # A model of the house needs none of this.
        from rocmr_keras.models.hub.torch_towers import adapter_arguments

        def encode_texts(token_ids, padding_mask):
            mask = padding_mask.long() if use_mask else None
            return model.get_text_features(input_ids=token_ids, attention_mask=mask)

        _check_methods(model, "get_image_features", "get_text_features")
        size = image_size or model.config.vision_config.image_size
        length = sequence_length or model.config.text_config.max_position_embeddings
        encoders = lambda pixels: model.get_image_features(pixel_values=pixels), encode_texts
        return cls(**adapter_arguments(model, tokenizer, *encoders, size, length, mean, std))

    @classmethod
    def from_open_clip(
        cls,
        model,
        tokenizer,
        image_size=None,
        mean=_CLIP_MEAN,
        std=_CLIP_STD,
        sequence_length=None,
    ):
        """Adapts a model of `open_clip`, on the torch backend.

        Args:
            model: A model with `encode_image` and `encode_text`.
            tokenizer: That of `open_clip.get_tokenizer`.
            image_size: Integer, or tuple of height and width. Defaults to `None`, that of
                the model.
            mean: Three floats, of pixels in `[0, 1]`. Defaults to those of CLIP; others are
                in `model.visual.image_mean`.
            std: Three floats. Defaults to those of CLIP.
            sequence_length: Integer. Defaults to `None`, the context of the model.

        Returns:
            An `Adapter`.

        Raises:
            ValueError: If the backend is not torch, or the model or the tokenizer is of
                another kind.

        Example:

        ```python
        model, _, _ = open_clip.create_model_and_transforms("ViT-B-32", "laion2b_s34b_b79k")
        tokenizer = open_clip.get_tokenizer("ViT-B-32")
        adapter = rocmr_keras.models.Adapter.from_open_clip(model, tokenizer)
        ```
        """
        from rocmr_keras.models.hub.torch_towers import adapter_arguments

        _check_methods(model, "encode_image", "encode_text")
        size = image_size or model.visual.image_size
        length = sequence_length or getattr(model, "context_length", None)
        length = length or model.text.context_length
        encoders = model.encode_image, lambda token_ids, padding_mask: model.encode_text(token_ids)
        return cls(**adapter_arguments(model, tokenizer, *encoders, size, length, mean, std))

    @property
    def text_encoder(self):
        """What has the `embedding_table`: the adapter itself."""
        return self

    def encode_images(self, images, training=False, normalize=True):
        """Encodes images, see `DualEncoder.encode_images`."""
        images = towers.check_images(images)
        if self.data_format == "channels_first":
            images = ops.transpose(images, (0, 3, 1, 2))
        return _scale(_run(self.image_function, training, images), normalize)

    def encode_texts(self, token_ids, padding_mask=None, training=False, normalize=True):
        """Encodes captions, see `DualEncoder.encode_texts`."""
        if towers.is_strings(token_ids):
            token_ids, padding_mask = towers.tokenize(self.preprocessor, token_ids)
        token_ids, padding_mask = towers.check_token_ids(token_ids, padding_mask)
        rows = self.embed_tokens(token_ids)
        return self.encode_text_embeddings(
            rows, padding_mask, training=training, normalize=normalize
        )

    def embed_tokens(self, token_ids):
        """Looks up the `(B, L, D)` rows of `(B, L)` tokens."""
        token_ids = ops.convert_to_tensor(token_ids, dtype="int32")
        if self.embed_function is None:
            return ops.take(ops.convert_to_tensor(self.embedding_table), token_ids, axis=0)
        return _run(self.embed_function, False, token_ids)

    def encode_text_embeddings(self, embeddings, padding_mask, training=False, normalize=True):
        """Encodes captions from their token embeddings on."""
        padding_mask = ops.convert_to_tensor(padding_mask, dtype="bool")
        x = _run(self.text_function, training, embeddings, padding_mask)
        return _scale(x, normalize)

    def scale(self):
        """Inverse temperature, a float32 scalar."""
        scale = self.inverse_temperature
        return ops.convert_to_tensor(scale() if callable(scale) else scale, dtype="float32")

    def call(self, inputs, training=None):
        return {
            "image_embeddings": self.encode_images(inputs["images"], training),
            "text_embeddings": self.encode_texts(
                inputs["token_ids"], inputs["padding_mask"], training
            ),
        }

    def get_config(self):
        raise NotImplementedError(
            "An Adapter holds functions and is not saved. Save the model that it wraps, and "
            "build the Adapter anew."
        )


def _scale(x, normalize):
    return l2_normalize(x) if normalize else ops.cast(x, "float32")


def _run(function, training, *inputs):
    # A wrapped torch module that is not told so drops out and updates its statistics.
    if isinstance(function, keras.layers.Layer):
        return function(*inputs, training=bool(training))
    return function(*inputs)


def _as_layer(function):
    """Wraps a `torch.nn.Module`, so that Keras sees its weights; the rest is left alone."""
    is_module = hasattr(function, "state_dict") and hasattr(function, "parameters")
    if not is_module or isinstance(function, keras.layers.Layer):
        return function
    return keras.layers.TorchModuleWrapper(function)


def _check_methods(model, *names):
    missing = [name for name in names if not callable(getattr(model, name, None))]
    if missing:
        raise ValueError(
            f"`model` must have the methods {names}. Received: {type(model).__name__} without "
            f"{missing}. Build an `Adapter` from two functions."
        )


def _check(encode_images, encode_text_embeddings, embed_tokens, data_format):
    given = {
        "encode_images": encode_images,
        "encode_text_embeddings": encode_text_embeddings,
        "embed_tokens": embed_tokens or callable,
    }
    for name, function in given.items():
        if not callable(function):
            raise ValueError(
                f"`{name}` must be callable. Received: {name}={function!r}. Pass a function, "
                "a Keras layer or, on the torch backend, a torch.nn.Module."
            )
    if data_format not in _LAYOUTS:
        raise ValueError(
            f"`data_format` must be one of {_LAYOUTS}. Received: data_format={data_format!r}. "
            "Most Keras models take 'channels_last', most torch modules 'channels_first'."
        )
