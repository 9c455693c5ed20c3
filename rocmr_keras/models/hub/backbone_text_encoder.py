"""Any text backbone as a text tower that an attack can enter halfway."""

import keras
from keras import ops

from rocmr_keras.layers.masked_average_pooling import MaskedAveragePooling
from rocmr_keras.layers.token_embedding import look_up
from rocmr_keras.models.hub import features
from rocmr_keras.models.hub.frozen import training_of
from rocmr_keras.models.hub.head import make_head
from rocmr_keras.models.hub.splitting import SplitBackbone

_POOLINGS = ("pooled", "average", "cls", "end")


@keras.saving.register_keras_serializable(package="rocmr_keras")
class BackboneTextEncoder(keras.Model):
    """Makes a text tower of a KerasHub backbone, split at its token embedding.

    `embed` looks tokens up, `encode` does the rest, as in `TextEncoder`. The backbone
    is shared, not copied: what is trained here is trained there. Layers of it that
    have no part in the output (BERT's pooler under another pooling) are frozen; and a
    backbone that is frozen as a whole runs without dropout.

    Args:
        backbone: Functional KerasHub text backbone with an input `token_ids`: CLIP and
            SigLIP text encoders, BERT, DistilBERT, RoBERTa, ALBERT.
        pooling: `"average"` (of the real positions), `"cls"` (the first position),
            `"end"` (the last real position, CLIP's end of text), or `"pooled"` (the
            vector that the backbone itself gives: BERT's pooler, SigLIP's head).
            Defaults to `None`: `"pooled"` where the backbone gives vectors only, else
            `"average"`. CLIP needs `"end"`.
        projection_dim: Integer, width of the embedding. Defaults to `None`: that of
            the backbone, without a projection.
        hidden_dim: Integer, width of a hidden layer of the projection, see
            `rocmr_keras.layers.ProjectionHead`. Defaults to `None`: none.
        **kwargs: `name`, `trainable` of a Keras model.

    Call arguments:
        inputs: Dict with `"token_ids"`, integer `(B, L)`, and `"padding_mask"`, boolean
            `(B, L)`, True at real tokens.
        training: Boolean, handed to the backbone unless it is frozen.

    Returns:
        Float32 tensor `(B, projection_dim)`, not normalised.

    Raises:
        ValueError: If the backbone cannot be split, or the pooling does not fit it.

    Example:

    ```python
    backbone = keras_hub.models.Backbone.from_preset("bert_tiny_en_uncased")
    encoder = rocmr_keras.models.BackboneTextEncoder(backbone, projection_dim=256)
    rows = encoder.embed(token_ids)  # (B, L, 128)
    embeddings = encoder.encode(rows, token_ids != 0)  # (B, 256)
    ```
    """

    def __init__(self, backbone, pooling=None, projection_dim=None, hidden_dim=None, **kwargs):
        super().__init__(autocast=False, **kwargs)
        split = SplitBackbone(backbone, pooling)
        self.backbone = backbone
        self.pooling = pooling
        self.pooling_kind = features.check_pooling(pooling, split.output, _POOLINGS)
        self.hidden_dim = hidden_dim
        # Behind a function: what it holds is the backbone's, to be tracked once.
        self._split = lambda: split
        for layer in self.unused_layers:
            layer.trainable = False
        self.average = MaskedAveragePooling(name="average")
        width = split.output.shape[-1]
        self.head = make_head(width, projection_dim, hidden_dim)
        self.projection_dim = projection_dim or width
        self.build({"token_ids": (None, None), "padding_mask": (None, None)})

    def build(self, input_shape):
        """Only tells Keras the shapes, which `summary` shows: the backbone is built."""

    @property
    def embedding_table(self):
        """Weight `(vocabulary_size, D)`, the rows of `embed`."""
        return self._split().table

    @property
    def unused_layers(self):
        """Layers of the backbone that have no part in the output; never thawed."""
        return self._split().unused_layers(self.backbone)

    def embed(self, token_ids):
        """Looks tokens up, without positions.

        Args:
            token_ids: Integer tensor `(B, L)`.

        Returns:
            Float tensor `(B, L, D)`.
        """
        return look_up(self.embedding_table, token_ids)

    def encode(self, embeddings, padding_mask, training=False):
        """Encodes captions from their token embeddings on.

        Args:
            embeddings: Float tensor `(B, L, D)`, as `embed` gives, perhaps perturbed.
            padding_mask: Boolean tensor `(B, L)`, True at real tokens.
            training: Boolean. Defaults to `False`.

        Returns:
            Float32 tensor `(B, projection_dim)`.
        """
        x = self.features(embeddings, padding_mask, training=training)
        return self.encode_features(x, training=training)

    def features(self, embeddings, padding_mask, training=False):
        """Returns float32 vectors `(B, width)`, of the backbone: what the head projects."""
        flag = training_of(self.backbone, training)
        x = ops.cast(self._split().encode(embeddings, padding_mask, flag), "float32")
        return self._pool(x, padding_mask)

    def encode_features(self, x, training=False):
        """Projects what `features` gives."""
        return x if self.head is None else self.head(x, training=training)

    def call(self, inputs, training=None):
        embeddings = self.embed(inputs["token_ids"])
        return self.encode(embeddings, inputs["padding_mask"], training=training)

    def _pool(self, x, padding_mask):
        if self.pooling_kind == "average":
            return self.average(x, padding_mask=padding_mask)
        if self.pooling_kind == "end":
            return _at_the_end(x, padding_mask)
        return features.pool(x, self.pooling_kind)

    def compute_output_shape(self, input_shape):
        return (input_shape["token_ids"][0], self.projection_dim)

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                **features.backbone_config(self.backbone),
                "pooling": self.pooling,
                "projection_dim": None if self.head is None else self.projection_dim,
                "hidden_dim": self.hidden_dim,
            }
        )
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**features.with_backbone(config, custom_objects))


def _at_the_end(x, padding_mask):
    """Takes the `(B, D)` last real positions of `(B, L, D)`."""
    places = ops.arange(ops.shape(x)[1], dtype="int32")
    last = ops.max(ops.where(padding_mask, places, 0), axis=1)
    here = ops.cast(places == last[:, None], x.dtype)
    return ops.sum(x * here[:, :, None], axis=1)
