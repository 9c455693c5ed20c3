"""Any dual encoder, seen through the few functions that an evaluation calls."""

import keras
from keras import ops

from rocmr_keras.layers.normalization import l2_normalize
from rocmr_keras.models import towers

_LAYOUTS = ("channels_last", "channels_first")


class Adapter(keras.Model):
    """Makes a trained dual encoder of any origin attackable and evaluable.

    Two functions are enough: from images to embeddings, and from token *embeddings* to
    embeddings; the attack on a text enters between its embedding table and the rest.
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
