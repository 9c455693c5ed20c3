"""Temperature and bias of the similarity logits."""

import math

import keras
from keras import ops

MAX_SCALE = 100.0


@keras.saving.register_keras_serializable(package="rocmr_keras")
class SimilarityHead(keras.layers.Layer):
    """Turns two sets of unit vectors into logits: `scale * cosine + bias`.

    Holds `logit_scale`, the logarithm of the inverse temperature, as CLIP
    does, and optionally `logit_bias`, as SigLIP does. The scale never
    exceeds `max_scale`: the optimizer clips the weight after each step, and
    `scale()` clips its value with a gradient that passes through, so that a
    weight at the cap can still come back down.

    Args:
        initial_temperature: Float above 0, divides the cosines at the
            start. Defaults to `0.07`.
        use_bias: Boolean, whether a learnt bias, -10 at the start, is added;
            meant for the pairwise sigmoid loss. Defaults to `False`.
        max_scale: Float above 0, the largest scale. Defaults to `100.0`, that
            of CLIP; pretrained SigLIP weights have a larger one.
        **kwargs: `name`, `trainable` of a Keras layer.

    Call arguments:
        image_embeddings: Float tensor `(B_i, P)` of unit vectors.
        text_embeddings: Float tensor `(B_t, P)` of unit vectors.

    Returns:
        Float32 logits `(B_i, B_t)`, rows images, columns texts.

    Raises:
        ValueError: If `initial_temperature` is not a number that gives a
            scale in `(0, max_scale]`, or `max_scale` is not above 0.

    Example:

    ```python
    head = rocmr_keras.layers.SimilarityHead()
    logits = head(image_embeddings, text_embeddings)
    ```

    Reference:
        - [Radford et al., 2021](https://arxiv.org/abs/2103.00020)
        - [Zhai et al., 2023](https://arxiv.org/abs/2303.15343)
    """

    def __init__(self, initial_temperature=0.07, use_bias=False, max_scale=MAX_SCALE, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        _check(initial_temperature, max_scale)
        self.initial_temperature = initial_temperature
        self.use_bias = use_bias
        self.max_scale = max_scale
        self.build()

    def build(self):
        start = -math.log(self.initial_temperature)
        self.logit_scale = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(start),
            constraint=self._cap,
            name="logit_scale",
        )
        self.logit_bias = None
        if self.use_bias:
            self.logit_bias = self.add_weight(
                shape=(), initializer=keras.initializers.Constant(-10.0), name="logit_bias"
            )

    def scale(self):
        """Inverse temperature, a float32 scalar, at most `max_scale`."""
        weight = ops.convert_to_tensor(self.logit_scale)
        return ops.exp(weight - ops.stop_gradient(weight - self._cap(weight)))

    def bias(self):
        """Bias of the logits, a float32 scalar, 0 when there is none."""
        if self.logit_bias is None:
            return ops.convert_to_tensor(0.0, dtype="float32")
        return ops.convert_to_tensor(self.logit_bias)

    def _cap(self, weight):
        return ops.minimum(weight, math.log(self.max_scale))

    def call(self, image_embeddings, text_embeddings):
        cosine = ops.matmul(image_embeddings, ops.transpose(text_embeddings))
        return self.scale() * cosine + self.bias()

    def compute_output_shape(self, image_embeddings_shape, text_embeddings_shape):
        return (image_embeddings_shape[0], text_embeddings_shape[0])

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "initial_temperature": self.initial_temperature,
                "use_bias": self.use_bias,
                "max_scale": self.max_scale,
            }
        )
        return config


def _check(initial_temperature, max_scale):
    if not max_scale > 0:
        raise ValueError(
            f"`max_scale` must be above 0. Received: max_scale={max_scale}. CLIP's is 100."
        )
    if not initial_temperature >= 1.0 / max_scale:
        raise ValueError(
            f"`initial_temperature` must be at least {1.0 / max_scale:g}, the inverse of "
            "the largest scale. Received: "
            f"initial_temperature={initial_temperature}. CLIP and SigLIP "
            "start at 0.07 and 0.1."
        )
