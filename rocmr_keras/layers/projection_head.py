"""From the features of a tower to the common space."""

import keras

from rocmr_keras.layers import parts
from rocmr_keras.layers.dropout import Dropout


@keras.saving.register_keras_serializable(package="rocmr_keras")
class ProjectionHead(keras.layers.Layer):
    """Maps the features of a tower into a space of another width.

    One bias-free dense layer, as CLIP has, or with a `hidden_dim` a small
    perceptron on normalised features: what a frozen tower needs, whose
    features were never meant to be compared with those of another.

    Args:
        input_dim: Integer, width of the features.
        projection_dim: Integer, width of the common space.
        hidden_dim: Integer, width of the hidden layer. Defaults to `None`:
            no hidden layer and no normalisation.
        dropout: Float in `[0, 1)`, on the hidden layer. Defaults to 0.
        **kwargs: `name`, `trainable` of a Keras layer.

    Call arguments:
        inputs: Float tensor `(B, input_dim)`.
        training: Boolean, whether dropout is active.

    Returns:
        Float32 tensor `(B, projection_dim)`.

    Raises:
        ValueError: If a width is below 1.

    Example:

    ```python
    head = rocmr_keras.layers.ProjectionHead(384, 256, hidden_dim=512)
    head(np.zeros((2, 384), "float32"))  # (2, 256)
    ```
    """

    def __init__(self, input_dim, projection_dim, hidden_dim=None, dropout=0.0, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        if min(input_dim, projection_dim, hidden_dim or 1) < 1:
            raise ValueError(
                "The widths of a projection must be at least 1. Received: "
                f"input_dim={input_dim}, projection_dim={projection_dim}, "
                f"hidden_dim={hidden_dim}. 256 to 1024 are usual."
            )
        self.input_dim = input_dim
        self.projection_dim = projection_dim
        self.hidden_dim = hidden_dim
        self.dropout = dropout
        self.build((None, input_dim))

    def build(self, input_shape):
        width = self.input_dim
        self.norm = self.hidden = self.drop = None
        if self.hidden_dim is not None:
            self.norm = parts.layer_norm(width, "norm", "float32", rank=2)
            self.hidden = parts.dense(
                width, self.hidden_dim, "hidden", "float32", activation="gelu"
            )
            self.drop = Dropout(self.dropout, name="drop", dtype="float32")
            width = self.hidden_dim
        self.projection = parts.dense(
            width, self.projection_dim, "projection", "float32", use_bias=False
        )

    def call(self, inputs, training=None):
        x = inputs
        if self.hidden is not None:
            x = self.drop(self.hidden(self.norm(x)), training=training)
        return self.projection(x)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.projection_dim)

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "input_dim": self.input_dim,
                "projection_dim": self.projection_dim,
                "hidden_dim": self.hidden_dim,
                "dropout": self.dropout,
            }
        )
        return config
