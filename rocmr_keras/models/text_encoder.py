"""A small text transformer, split at its embedding."""

import keras

from rocmr_keras.layers import parts
from rocmr_keras.layers.dropout import Dropout
from rocmr_keras.layers.masked_average_pooling import MaskedAveragePooling
from rocmr_keras.layers.position_embedding import PositionEmbedding
from rocmr_keras.layers.token_embedding import TokenEmbedding
from rocmr_keras.layers.transformer_block import TransformerBlock


@keras.saving.register_keras_serializable(package="rocmr_keras")
class TextEncoder(keras.Model):
    """Encodes captions with a transformer that an attack can enter halfway.

    `embed` looks the tokens up, `encode` does the rest, and `call` is the
    two in a row: an attack on the embeddings perturbs what lies between.
    The embedding of a caption is the projected average of its real
    positions and does not depend on how much padding follows. With
    `num_layers=0` it is a bag of subwords.

    Args:
        vocabulary_size: Integer, number of tokens.
        sequence_length: Integer, longest caption in tokens. Defaults to 32.
        embedding_dim: Integer, width of tokens and blocks. Defaults to 128.
        num_layers: Integer, number of transformer blocks, 0 or more.
            Defaults to 2.
        num_heads: Integer, attention heads, divides `embedding_dim`.
            Defaults to 4.
        mlp_dim: Integer, width inside the blocks' perceptrons. Defaults to
            `4 * embedding_dim`.
        projection_dim: Integer, width of the embedding of a caption.
            Defaults to 128.
        dropout: Float in `[0, 1)`, on the embeddings and in the blocks.
            Defaults to 0.
        **kwargs: `name`, `trainable`, `dtype` of a Keras model.

    Call arguments:
        inputs: Dict with `"token_ids"`, integer `(B, L)`, and
            `"padding_mask"`, boolean `(B, L)`, True at real tokens;
            `L <= sequence_length`.
        training: Boolean, whether dropout is active.

    Returns:
        Float32 tensor `(B, projection_dim)`, not normalised. A row without
        a real token gives zeros.

    Raises:
        ValueError: If `num_layers` is negative, or an argument is outside
            the range of its layer.

    Example:

    ```python
    encoder = rocmr_keras.models.TextEncoder(1000, projection_dim=64)
    token_ids = np.array([[2, 7, 9, 3, 0]])
    rows = encoder.embed(token_ids)  # (1, 5, 128)
    embeddings = encoder.encode(rows, token_ids != 0)  # (1, 64)
    ```
    """

    def __init__(
        self,
        vocabulary_size,
        sequence_length=32,
        embedding_dim=128,
        num_layers=2,
        num_heads=4,
        mlp_dim=None,
        projection_dim=128,
        dropout=0.0,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        if num_layers < 0:
            raise ValueError(
                "`num_layers` must be 0 or more. Received: "
                f"num_layers={num_layers}. 0 makes a bag of subwords."
            )
        self.vocabulary_size = vocabulary_size
        self.sequence_length = sequence_length
        self.embedding_dim = embedding_dim
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.mlp_dim = mlp_dim or 4 * embedding_dim
        self.projection_dim = projection_dim
        self.dropout = dropout
        self.build({"token_ids": (None, None), "padding_mask": (None, None)})

    def build(self, input_shape):
        width, policy = self.embedding_dim, self.dtype_policy
        # Float32 up to the first block: a perturbation is not rounded away.
        self.token_embedding = TokenEmbedding(
            self.vocabulary_size, width, name="token_embedding", dtype="float32"
        )
        self.position_embedding = PositionEmbedding(
            self.sequence_length, width, name="position_embedding", dtype="float32"
        )
        self.drop = Dropout(self.dropout, name="drop", dtype="float32")
        self.blocks = [
            TransformerBlock(
                width,
                self.num_heads,
                self.mlp_dim,
                self.dropout,
                name=f"block_{index}",
                dtype=policy,
            )
            for index in range(self.num_layers)
        ]
        self.final_norm = parts.layer_norm(width, "final_norm", policy)
        self.pooling = MaskedAveragePooling(name="pooling")
        self.projection = parts.dense(
            width, self.projection_dim, "projection", "float32", use_bias=False
        )

    @property
    def embedding_table(self):
        """Weight `(vocabulary_size, embedding_dim)`, the rows of `embed`."""
        return self.token_embedding.embeddings

    def embed(self, token_ids):
        """Looks tokens up, without positions.

        Args:
            token_ids: Integer tensor `(B, L)`.

        Returns:
            Float32 tensor `(B, L, embedding_dim)`.
        """
        return self.token_embedding(token_ids)

    def encode(self, embeddings, padding_mask, training=False):
        """Encodes captions from their token embeddings on.

        Args:
            embeddings: Float tensor `(B, L, embedding_dim)`, as `embed`
                gives, perhaps perturbed.
            padding_mask: Boolean tensor `(B, L)`, True at real tokens.
            training: Boolean, whether dropout is active. Defaults to
                `False`.

        Returns:
            Float32 tensor `(B, projection_dim)`.
        """
        x = self.position_embedding(embeddings)
        x = self.drop(x, training=training)
        for block in self.blocks:
            x = block(x, padding_mask=padding_mask, training=training)
        x = self.pooling(self.final_norm(x), padding_mask=padding_mask)
        return self.projection(x)

    def call(self, inputs, training=None):
        embeddings = self.embed(inputs["token_ids"])
        return self.encode(embeddings, inputs["padding_mask"], training=training)

    def compute_output_shape(self, input_shape):
        return (input_shape["token_ids"][0], self.projection_dim)

    def compute_output_spec(self, inputs, training=None):
        # Whatever the blocks compute in.
        shapes = {name: tensor.shape for name, tensor in inputs.items()}
        return keras.KerasTensor(self.compute_output_shape(shapes), "float32")

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "vocabulary_size": self.vocabulary_size,
                "sequence_length": self.sequence_length,
                "embedding_dim": self.embedding_dim,
                "num_layers": self.num_layers,
                "num_heads": self.num_heads,
                "mlp_dim": self.mlp_dim,
                "projection_dim": self.projection_dim,
                "dropout": self.dropout,
            }
        )
        return config
