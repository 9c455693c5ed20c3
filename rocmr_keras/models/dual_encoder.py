"""An image tower and a text tower that meet in one space."""

import keras
from keras import ops

from rocmr_keras.fine_tuning import freezing
from rocmr_keras.layers import parts
from rocmr_keras.layers.normalization import l2_normalize
from rocmr_keras.layers.similarity_head import MAX_SCALE
from rocmr_keras.layers.similarity_head import SimilarityHead
from rocmr_keras.models import exporting
from rocmr_keras.models import frozen_parts
from rocmr_keras.models import quantized_parts
from rocmr_keras.models import towers
from rocmr_keras.models import values


@keras.saving.register_keras_serializable(package="rocmr_keras")
class DualEncoder(keras.Model):
    """Joins an image and a text tower into one space of unit vectors.

    Any pair of Keras towers will do. The image tower maps images to
    `(B, width)`; the text tower has `embed`, `encode` and
    `embedding_table` as `TextEncoder` does. Both are built and tell their
    width in a `projection_dim` attribute (or are functional models).
    Knows no loss and no attack: `RoCMR` trains it. Ready-made CLIP and
    SigLIP models come in by `from_preset` and `from_backbone`.

    Args:
        image_encoder: Keras layer or model, `(B, H, W, 3)` in `[0, 1]` to
            `(B, width)`.
        text_encoder: Keras layer or model with `embed(token_ids)`,
            `encode(embeddings, padding_mask, training)` and
            `embedding_table`.
        preprocessor: Serializable object with `tokenize(texts)` and
            `special_token_ids`, saved along; `None` for a model that is fed
            token ids only.
        projection_dim: Integer, width of the common space, reached by one
            bias-free dense layer per tower. Defaults to `None`: no such
            layers, towers of equal width.
        initial_temperature: Float, at least 0.01. Defaults to `0.07`.
        use_logit_bias: Boolean, whether the logits have a learnt bias.
            Defaults to `False`.
        max_scale: Float, the largest inverse temperature. Defaults to `100.0`.
        **kwargs: `name`, `trainable`, `dtype` of a Keras model.

    Call arguments:
        inputs: Dict with `"images"`, `"token_ids"` and `"padding_mask"`, or with
            `"image_features"` or `"text_features"`, see `frozen_features`, in place of
            one side's; other entries are ignored.
        training: Boolean, handed to both towers.

    Returns:
        Dict with `"image_embeddings"` and `"text_embeddings"`, float32
        `(B, P)`, rows of length 1.

    Raises:
        ValueError: If a tower lacks a method, is not built or hides its
            width, or if the widths differ without a `projection_dim`.

    Example:

    ```python
    model = rocmr_keras.models.DualEncoder(
        rocmr_keras.models.ConvolutionalImageEncoder(projection_dim=64),
        rocmr_keras.models.TextEncoder(1000, projection_dim=64),
    )
    token_ids = np.array([[2, 7, 3, 0]])
    texts = model.encode_texts(token_ids, token_ids != 0)  # (1, 64)
    ```

    A text tower of your own is any `rocmr_keras.models.TextTower`:

    ```python
    class BagOfWords(keras.layers.Layer):
        def __init__(self, vocabulary_size, projection_dim, **kwargs):
            super().__init__(**kwargs)
            self.projection_dim = projection_dim
            self.embedding_table = self.add_weight(shape=(vocabulary_size, projection_dim))
            self.built = True

        def embed(self, token_ids):
            return keras.ops.take(self.embedding_table, token_ids, axis=0)

        def encode(self, embeddings, padding_mask, training=False):
            mask = keras.ops.cast(padding_mask, "float32")[..., None]
            return keras.ops.sum(mask * embeddings, axis=1) / keras.ops.sum(mask, axis=1)
    ```

    Called on symbolic inputs it is a part of a functional model, which
    `keras.utils.plot_model(functional, show_shapes=True)` draws; by itself it is one box:

    ```python
    images = keras.Input((64, 64, 3), name="images")
    token_ids = keras.Input((16,), dtype="int32", name="token_ids")
    padding_mask = keras.Input((16,), dtype="bool", name="padding_mask")
    inputs = {"images": images, "token_ids": token_ids, "padding_mask": padding_mask}
    functional = keras.Model(inputs, model(inputs))
    ```
    """

    def __init__(
        self,
        image_encoder,
        text_encoder,
        preprocessor=None,
        projection_dim=None,
        initial_temperature=0.07,
        use_logit_bias=False,
        max_scale=MAX_SCALE,
        **kwargs,
    ):
        # Keras would else round pixels to half precision before the tower normalises them.
        super().__init__(autocast=False, **kwargs)
        self.widths = towers.check(image_encoder, text_encoder, projection_dim)
        values.check_vocabulary(text_encoder, preprocessor)
        self.image_encoder = image_encoder
        self.text_encoder = text_encoder
        self.preprocessor = preprocessor
        self.projection_dim = projection_dim
        self.initial_temperature = initial_temperature
        self.use_logit_bias = use_logit_bias
        self.max_scale = max_scale
        self.frozen = {}
        self.build()

    def build(self):
        self.image_projection = self.text_projection = None
        if self.projection_dim is not None:
            self.image_projection = self._make_projection("image_projection", self.widths[0])
            self.text_projection = self._make_projection("text_projection", self.widths[1])
        self.similarity_head = SimilarityHead(
            self.initial_temperature,
            self.use_logit_bias,
            self.max_scale,
            name="similarity_head",
        )

    def _make_projection(self, name, width):
        return parts.dense(width, self.projection_dim, name, "float32", use_bias=False)

    @property
    def special_token_ids(self):
        """Ids no attack may change or insert; `()` without a preprocessor."""
        return tuple(getattr(self.preprocessor, "special_token_ids", ()))

    def encode_images(self, images, training=False, normalize=True):
        """Encodes images.

        Args:
            images: Float tensor `(B, H, W, 3)` in `[0, 1]`.
            training: Boolean, handed to the tower. Defaults to `False`.
            normalize: Boolean, whether rows are scaled to length 1; else they are
                what the tower and its projection give. Defaults to `True`.

        Returns:
            Float32 tensor `(B, P)`, rows of length 1 where `normalize`.

        Raises:
            ValueError: If `images` is not a batch of float images, or is a NumPy array with
                values out of [0, 1].
        """
        values.check_range_of_pixels(images)
        images = towers.check_images(images)
        x = self.image_encoder(images, training=training)
        return _project(x, self.image_projection, normalize)

    def encode_texts(self, token_ids, padding_mask=None, training=False, normalize=True):
        """Encodes captions, as token ids or as strings.

        Args:
            token_ids: Integer tensor `(B, L)`; or a list of strings, which
                the preprocessor tokenizes.
            padding_mask: Boolean tensor `(B, L)`, True at real tokens;
                `None` with strings.
            training: Boolean, handed to the tower. Defaults to `False`.
            normalize: As in `encode_images`. Defaults to `True`.

        Returns:
            Float32 tensor `(B, P)`, rows of length 1 where `normalize`.

        Raises:
            ValueError: If strings come without a preprocessor, ids without a mask, or, in
                NumPy arrays, ids that are not in the table or texts without a token. Values of
                tensors are not looked at: there a mask without True gives an embedding of zeros.
        """
        if towers.is_strings(token_ids):
            token_ids, padding_mask = towers.tokenize(self.preprocessor, token_ids)
        values.check_tokens(self.text_encoder, token_ids, padding_mask)
        token_ids, padding_mask = towers.check_token_ids(token_ids, padding_mask)
        rows = self.embed_tokens(token_ids)
        return self.encode_text_embeddings(
            rows, padding_mask, training=training, normalize=normalize
        )

    def embed_tokens(self, token_ids):
        """Looks up the text tower's `(B, L, D)` rows of `(B, L)` tokens."""
        return self.text_encoder.embed(ops.convert_to_tensor(token_ids, dtype="int32"))

    def encode_text_embeddings(self, embeddings, padding_mask, training=False, normalize=True):
        """Encodes captions from their token embeddings on.

        Args:
            embeddings: Float tensor `(B, L, D)`, as `embed_tokens` gives.
            padding_mask: Boolean tensor `(B, L)`, True at real tokens.
            training: Boolean, handed to the tower. Defaults to `False`.
            normalize: As in `encode_images`. Defaults to `True`.

        Returns:
            Float32 tensor `(B, P)`, rows of length 1 where `normalize`.
        """
        embeddings = ops.convert_to_tensor(embeddings)
        padding_mask = ops.convert_to_tensor(padding_mask, dtype="bool")
        x = self.text_encoder.encode(embeddings, padding_mask, training=training)
        return _project(x, self.text_projection, normalize)

    def is_constant(self, side):
        """Says whether `frozen_features` stay as they are, also in training.

        Args:
            side: `"images"` or `"texts"`.
        """
        return frozen_parts.is_constant(self._tower(side))

    def frozen_features(self, inputs, side):
        """Encodes one side as far as it does not train where `is_constant`.

        A tower that has `features` and `encode_features`, as `BackboneImageEncoder` and
        `BackboneTextEncoder` do, is divided there; of another one this is the output.

        Args:
            inputs: Dict with `images`, or `token_ids` and `padding_mask`.
            side: `"images"` or `"texts"`.

        Returns:
            Float tensor `(B, width)`.
        """
        if side == "images":
            inputs = (towers.check_images(inputs["images"]),)
        else:
            tokens = towers.check_token_ids(inputs["token_ids"], inputs["padding_mask"])
            inputs = self.embed_tokens(tokens[0]), tokens[1]
        return frozen_parts.features(self._tower(side), *inputs)

    def encode_features(self, features, side, training=False, normalize=True):
        """Encodes one side from `frozen_features` on.

        Args:
            features: Float tensor `(B, width)`.
            side: `"images"` or `"texts"`.
            training: Boolean, handed to the rest of the tower. Defaults to `False`.
            normalize: As in `encode_images`. Defaults to `True`.

        Returns:
            Float32 tensor `(B, P)`, rows of length 1 where `normalize`.
        """
        x = ops.convert_to_tensor(features)
        x = frozen_parts.encode_features(self._tower(side), x, training)
        projections = {"images": self.image_projection, "texts": self.text_projection}
        return _project(x, projections[side], normalize)

    def _tower(self, side):
        return {"images": self.image_encoder, "texts": self.text_encoder}[side]

    def similarity(self, image_embeddings, text_embeddings):
        """Cosines `(B_i, B_t)` of unit vectors, rows images."""
        return ops.matmul(image_embeddings, ops.transpose(text_embeddings))

    def logits(self, image_embeddings, text_embeddings):
        """Scaled and shifted cosines `(B_i, B_t)`, rows images."""
        return self.similarity_head(image_embeddings, text_embeddings)

    def scale(self):
        """Inverse temperature, a float32 scalar, at most `max_scale`."""
        return self.similarity_head.scale()

    def bias(self):
        """Bias of the logits, a float32 scalar, 0 when there is none."""
        return self.similarity_head.bias()

    def freeze(self, images=None, texts=None, similarity=None, batch_norm=None):
        """Chooses what trains; saved along with the model. Call it before `compile`.

        Args:
            images: `"all"` freezes the image tower and its projection, `"tower"` the
                tower alone, a number all of the tower but its last blocks and what
                follows them, `"none"` nothing. Defaults to `None`: as it is.
            texts: The same of the text side. Defaults to `None`.
            similarity: Boolean, whether the temperature and the bias are frozen.
                Defaults to `None`: as it is.
            batch_norm: Boolean, whether batch normalisation is frozen in what else trains:
                its moving statistics are used and kept, as is usual in fine-tuning. `False`
                thaws it along with its side. Defaults to `None`: as it is.

        Raises:
            ValueError: If a choice is unknown, or a tower has fewer blocks.
        """
        choices = {"images": images, "texts": texts}
        choices |= {"similarity": similarity, "batch_norm": batch_norm}
        freezing.freeze(self, {k: value for k, value in choices.items() if value is not None})

    @classmethod
    def from_preset(cls, preset, **kwargs):
        """Loads a CLIP or SigLIP with its tokenizer, image converter and weights.

        KerasHub finds, fetches and keeps its presets. Folders in the layout of
        HuggingFace's transformers, for which KerasHub has no converter, are converted
        here; they need the package `safetensors`.

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
        # Here and below: who builds towers of their own does without the hub.
        from rocmr_keras.models.hub import presets

        return presets.from_preset(cls, preset, **kwargs)

    def save_to_preset(self, folder):
        """Saves a preset that KerasHub and `from_preset` read.

        Args:
            folder: String or path of a folder, made if it is not there.

        Raises:
            ValueError: If this model did not come from a CLIP or SigLIP. Others are
                saved by `model.save`.
        """
        from rocmr_keras.models.hub import presets

        presets.save_to_preset(self, folder)

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
        from rocmr_keras.models.hub import presets

        return presets.from_backbone(cls, backbone, preprocessor, image_converter, **kwargs)

    def to_backbone(self):
        """Puts the KerasHub model together again, e.g. after robust fine-tuning.

        Returns:
            A `keras_hub.models.CLIPBackbone` or `SigLIPBackbone`, which shares the two
            encoders with this model.

        Raises:
            ValueError: If this model did not come from one.
        """
        from rocmr_keras.models.hub import presets

        return presets.to_backbone(self)

    def export(
        self,
        filepath,
        format="tf_saved_model",
        verbose=None,
        input_signature=None,
        **kwargs,
    ):
        """Writes the forward pass alone, as a SavedModel: pixels and token ids to embeddings.

        One that takes strings and image files, and searches, is what
        `rocmr_keras.export.export_saved_model` writes; the image tower alone goes to ONNX, LiteRT
        and OpenVINO by `rocmr_keras.export.export_image_tower`.

        Args:
            filepath: Path of the folder.
            format: `"tf_saved_model"`, which is the default.
            verbose: As for `keras.Model.export`.
            input_signature: As for `keras.Model.export`. Defaults to `None`: batches of any
                size, of the image size and caption length of the preprocessor; without
                one, of any.
            **kwargs: Further arguments of `keras.Model.export`.

        Raises:
            ValueError: If the format is another, or the backend is PyTorch, from which Keras
                writes no model of several inputs.
        """
        exporting.check_format(format)
        if input_signature is None:
            input_signature = exporting.input_signature(self.preprocessor)
        super().export(filepath, format, verbose, input_signature, **kwargs)

    def call(self, inputs, training=None):
        towers.check_call_inputs(inputs)
        if "text_features" in inputs:
            texts = self.encode_features(inputs["text_features"], "texts", training)
        else:
            tokens = inputs["token_ids"], inputs["padding_mask"]
            texts = self.encode_texts(*tokens, training=training)
        if "image_features" in inputs:
            images = self.encode_features(inputs["image_features"], "images", training)
        else:
            images = self.encode_images(inputs["images"], training=training)
        return {"image_embeddings": images, "text_embeddings": texts}

    def get_config(self):
        config = super().get_config()
        serialize = keras.saving.serialize_keras_object
        config.update(
            {
                "image_encoder": serialize(self.image_encoder),
                "text_encoder": serialize(self.text_encoder),
                "preprocessor": serialize(self.preprocessor),
                "projection_dim": self.projection_dim,
                "initial_temperature": self.initial_temperature,
                "use_logit_bias": self.use_logit_bias,
                "max_scale": self.max_scale,
                "frozen": dict(self.frozen),
                "quantized": {
                    side: quantized_parts.quantized_layers(self._tower(side))
                    for side in ("images", "texts")
                },
            }
        )
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        frozen, quantized = config.pop("frozen", {}), config.pop("quantized", {})
        for name in ("image_encoder", "text_encoder", "preprocessor"):
            config[name] = keras.saving.deserialize_keras_object(
                config[name], custom_objects=custom_objects
            )
        model = cls(**config)
        model.freeze(**frozen)
        for side, modes in quantized.items():
            quantized_parts.quantize_layers(model._tower(side), modes)
        return model


def _project(x, projection, normalize):
    x = x if projection is None else projection(x)
    return l2_normalize(x) if normalize else ops.cast(x, "float32")
