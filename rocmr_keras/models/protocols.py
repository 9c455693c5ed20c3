"""What "anything with its methods" is: `isinstance` asks for the members, not for a class."""

import typing


@typing.runtime_checkable
class TextTower(typing.Protocol):
    """What `DualEncoder` asks of a text tower, besides being a built Keras layer.

    Example:

    ```python
    isinstance(rocmr_keras.models.TextEncoder(1000), rocmr_keras.models.TextTower)  # True
    ```
    """

    @property
    def embedding_table(self):
        """Weight `(vocabulary_size, D)`, the rows of `embed`."""

    def embed(self, token_ids):
        """Looks up rows `(B, L, D)` of integers `(B, L)`, without positions."""

    def encode(self, embeddings, padding_mask, training=False):
        """Encodes rows `(B, L, D)`, perhaps perturbed, to `(B, width)`."""


@typing.runtime_checkable
class Attackable(typing.Protocol):
    """What attacks, `RoCMR` and evaluation ask of a model, besides being a Keras model.

    `DualEncoder` and `Adapter` have it. Embeddings `(B, P)` are float32 rows of length 1.
    """

    def encode_images(self, images, training=False, normalize=True):
        """Encodes floats `(B, H, W, 3)` in [0, 1]."""

    def encode_texts(self, token_ids, padding_mask=None, training=False, normalize=True):
        """Encodes integers `(B, L)` with a mask that is True at real tokens."""

    def embed_tokens(self, token_ids):
        """Looks up rows `(B, L, D)` of integers `(B, L)`."""

    def encode_text_embeddings(self, embeddings, padding_mask, training=False, normalize=True):
        """Encodes rows `(B, L, D)`, as `embed_tokens` gives and an attack has moved."""

    def similarity(self, image_embeddings, text_embeddings):
        """Cosines `(B_i, B_t)`."""

    def scale(self):
        """The inverse temperature, a scalar."""

    def bias(self):
        """The bias of the logits, a scalar."""
