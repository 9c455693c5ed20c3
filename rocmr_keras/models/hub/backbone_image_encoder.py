"""Any image backbone as an image tower."""

import keras
from keras import ops

from rocmr_keras.layers.pixel_normalization import PixelNormalization
from rocmr_keras.models.hub import features
from rocmr_keras.models.hub.frozen import training_of
from rocmr_keras.models.hub.head import make_head

_ORDERS = ("rgb", "bgr")


@keras.saving.register_keras_serializable(package="rocmr_keras")
class BackboneImageEncoder(keras.Model):
    """Makes an image tower of a KerasHub backbone or a `keras.applications` model.

    The tower takes pixels in `[0, 1]` and normalises them itself, so that an
    attack's budget is in pixel units, runs the backbone, pools what it gives
    to one vector and projects that. The backbone is shared, not copied: what
    is trained here is trained there. A frozen backbone runs without dropout
    and with fixed batch statistics. KerasHub's fresh CLIP vision encoders
    number all positions 0; here they get their numbers.

    Args:
        backbone: Functional Keras model of one image input, channels last: CLIP and
            SigLIP vision encoders, ViT, ResNet, EfficientNet, MobileNet of KerasHub,
            or a model of `keras.applications` with `include_top=False`.
        pooling: `"cls"` (the first token), `"average"` (of all tokens or places),
            or `"pooled"` (the vector that the backbone itself gives). Defaults to
            `None`: by the rank of the output `"pooled"` for vectors, `"cls"` for
            tokens, `"average"` for maps.
        projection_dim: Integer, width of the embedding. Defaults to `None`: that of
            the backbone, without a projection.
        hidden_dim: Integer, width of a hidden layer of the projection, see
            `rocmr_keras.layers.ProjectionHead`. Defaults to `None`: none.
        mean: Three floats, subtracted from the pixels (red, green, blue), in units of
            `[0, 1]`. Defaults to zeros.
        std: Three floats, divide the pixels; `1 / 255` makes bytes of them. Defaults
            to ones. Values of KerasHub: `pixel_statistics`.
        channel_order: `"rgb"`, or `"bgr"` for the older nets of `keras.applications`
            with weights from Caffe. Defaults to `"rgb"`.
        **kwargs: `name`, `trainable` of a Keras model.

    Call arguments:
        images: Float tensor `(B, H, W, 3)` in `[0, 1]`, of a size that the backbone
            takes.
        training: Boolean, handed to the backbone unless it is frozen.

    Returns:
        Float32 tensor `(B, projection_dim)`, not normalised.

    Raises:
        ValueError: If the backbone has another kind of input or output, the pooling
            does not fit its output, or images come in a size that it does not take.

    Example:

    ```python
    backbone = keras_hub.models.Backbone.from_preset("resnet_50_imagenet")
    encoder = rocmr_keras.models.BackboneImageEncoder(backbone, projection_dim=256)
    embeddings = encoder(np.zeros((2, 224, 224, 3), "float32"))  # (2, 256)
    ```
    """

    def __init__(
        self,
        backbone,
        pooling=None,
        projection_dim=None,
        hidden_dim=None,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        channel_order="rgb",
        **kwargs,
    ):
        # Keras would else round pixels to half precision before they are normalised.
        super().__init__(autocast=False, **kwargs)
        if channel_order not in _ORDERS:
            raise ValueError(
                f"`channel_order` must be one of {_ORDERS}. Received: channel_order="
                f"{channel_order!r}. All but the older Caffe nets take 'rgb'."
            )
        self.input_name, self.image_shape = features.image_input(backbone)
        output = features.main_output(backbone, pooling)
        features.number_positions(backbone)
        self.backbone = backbone
        self.pooling = pooling
        self.pooling_kind = features.check_pooling(pooling, output, ("pooled", "cls", "average"))
        self.hidden_dim = hidden_dim
        self.mean = tuple(mean)
        self.std = tuple(std)
        self.channel_order = channel_order
        self.pixel_normalization = PixelNormalization(self.mean, self.std, name="pixels")
        self.head = make_head(output.shape[-1], projection_dim, hidden_dim)
        self.projection_dim = projection_dim or output.shape[-1]
        self.build((None, *self.image_shape, 3))

    def build(self, input_shape):
        """Only tells Keras the shapes, which `summary` shows: the backbone is built."""

    def call(self, images, training=None):
        return self.encode_features(self.features(images, training=training), training=training)

    def features(self, images, training=False):
        """Returns float32 vectors `(B, width)`, of the backbone: what the head projects."""
        self._check_size(images)
        x = self.pixel_normalization(images)
        if self.channel_order == "bgr":
            x = ops.flip(x, axis=-1)
        if self.input_name is not None:
            x = {self.input_name: x}
        x = self.backbone(x, training=training_of(self.backbone, training))
        return features.pool(features.pick(x, self.pooling), self.pooling_kind)

    def encode_features(self, x, training=False):
        """Projects what `features` gives."""
        return x if self.head is None else self.head(x, training=training)

    def _check_size(self, images):
        fixed = zip(self.image_shape, images.shape[1:3])
        if any(None not in pair and pair[0] != pair[1] for pair in fixed):
            raise ValueError(
                f"The backbone takes images of {self.image_shape} pixels. Received: images "
                f"of shape {tuple(images.shape)}. Set the preprocessor's `image_size`."
            )

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.projection_dim)

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                **features.backbone_config(self.backbone),
                "pooling": self.pooling,
                "projection_dim": None if self.head is None else self.projection_dim,
                "hidden_dim": self.hidden_dim,
                "mean": list(self.mean),
                "std": list(self.std),
                "channel_order": self.channel_order,
            }
        )
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**features.with_backbone(config, custom_objects))


def pixel_statistics(image_converter):
    """Reads mean and deviation of pixels from a KerasHub image converter.

    Args:
        image_converter: A `keras_hub.layers.ImageConverter`, or anything with `scale`
            and `offset`: it maps a byte `x` to `x * scale + offset`.

    Returns:
        Tuple of two tuples of three floats, `mean` and `std` for pixels in `[0, 1]`.

    Example:

    ```python
    converter = keras_hub.layers.ImageConverter(scale=1 / 127.5, offset=-1.0)
    pixel_statistics(converter)  # (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    ```
    """
    scales = _three(image_converter.scale, 1.0)
    offsets = _three(image_converter.offset, 0.0)
    std = tuple(1.0 / (255.0 * scale) for scale in scales)
    mean = tuple(-offset * deviation for offset, deviation in zip(offsets, std))
    return mean, std


def _three(value, default):
    if value is None:
        value = default
    return (float(value),) * 3 if isinstance(value, (int, float)) else tuple(map(float, value))
