"""The pre-norm transformer block both kinds of tower share."""

import keras
from keras import ops

from rocmr_keras.layers import parts
from rocmr_keras.layers.dropout import Dropout
from rocmr_keras.layers.initializers import PortableNormal


@keras.saving.register_keras_serializable(package="rocmr_keras")
class TransformerBlock(keras.layers.Layer):
    """Self-attention and a two-layer perceptron, each on a residual branch.

    Normalises before each branch, not after it, which trains without
    warm-up at small depth. Attention sees real positions only; a row that
    has none attends to everything and stays finite. Under mixed precision
    on a CPU use `"mixed_bfloat16"`: JAX has no float16 attention there.

    Args:
        hidden_dim: Integer, width of the sequence.
        num_heads: Integer, must divide `hidden_dim`.
        mlp_dim: Integer, width inside the perceptron. Defaults to
            `4 * hidden_dim`.
        dropout: Float in `[0, 1)`, applied to the output of both branches.
            Defaults to 0.
        activation: Name of the perceptron's activation. Defaults to
            `"gelu"`.
        **kwargs: `name`, `trainable`, `dtype` of a Keras layer.

    Call arguments:
        inputs: Float tensor `(B, L, hidden_dim)`.
        padding_mask: Boolean tensor `(B, L)`, True at real positions, or
            `None` for all of them.
        training: Boolean, whether dropout is active.

    Returns:
        Float tensor of the shape of `inputs`.

    Raises:
        ValueError: If `num_heads` does not divide `hidden_dim`, or
            `dropout` is outside its range.

    Example:

    ```python
    block = rocmr_keras.layers.TransformerBlock(64, num_heads=4)
    outputs = block(np.zeros((2, 12, 64), "float32"))
    ```
    """

    def __init__(
        self,
        hidden_dim,
        num_heads,
        mlp_dim=None,
        dropout=0.0,
        activation="gelu",
        **kwargs,
    ):
        super().__init__(**kwargs)
        _check_block(hidden_dim, num_heads, dropout)
        self.hidden_dim = hidden_dim
        self.num_heads = num_heads
        self.mlp_dim = mlp_dim or 4 * hidden_dim
        self.dropout = dropout
        self.activation = keras.activations.get(activation)
        self.build((None, None, hidden_dim))

    def build(self, input_shape):
        width, policy = self.hidden_dim, self.dtype_policy
        self.attention_norm = parts.layer_norm(width, "attention_norm", policy)
        self.attention = keras.layers.MultiHeadAttention(
            self.num_heads,
            width // self.num_heads,
            kernel_initializer=PortableNormal(width**-0.5),
            dtype=policy,
            name="attention",
        )
        self.attention.build(input_shape, input_shape)
        self.mlp_norm = parts.layer_norm(width, "mlp_norm", policy)
        self.mlp_in = parts.dense(width, self.mlp_dim, "mlp_in", policy, activation=self.activation)
        self.mlp_out = parts.dense(self.mlp_dim, width, "mlp_out", policy)
        self.drop = Dropout(self.dropout, dtype=policy, name="drop")

    def call(self, inputs, padding_mask=None, training=None):
        x = self.attention_norm(inputs)
        x = self.attention(x, x, attention_mask=_attention_mask(padding_mask), training=training)
        x = inputs + self.drop(x, training=training)
        hidden = self.mlp_out(self.mlp_in(self.mlp_norm(x)))
        return x + self.drop(hidden, training=training)

    def compute_output_shape(self, inputs_shape, padding_mask_shape=None):
        return inputs_shape

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "hidden_dim": self.hidden_dim,
                "num_heads": self.num_heads,
                "mlp_dim": self.mlp_dim,
                "dropout": self.dropout,
                "activation": keras.activations.serialize(self.activation),
            }
        )
        return config


def _check_block(hidden_dim, num_heads, dropout):
    if num_heads < 1 or hidden_dim % num_heads:
        raise ValueError(
            "`num_heads` must divide `hidden_dim`. Received: "
            f"hidden_dim={hidden_dim}, num_heads={num_heads}. Use heads of "
            "width 32 or 64."
        )
    if not 0 <= dropout < 1:
        raise ValueError(
            f"`dropout` must be in [0, 1). Received: dropout={dropout}. Use 0.0 for none."
        )


def _attention_mask(padding_mask):
    """(B, 1, L) mask of the keys; all True for a row without a real key."""
    if padding_mask is None:
        return None
    padding_mask = ops.cast(padding_mask, "bool")
    empty = ops.logical_not(ops.any(padding_mask, axis=1, keepdims=True))
    return ops.logical_or(padding_mask, empty)[:, None, :]
