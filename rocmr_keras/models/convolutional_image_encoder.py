"""A plain residual net, small and quick enough to be attacked on a CPU."""

import keras
from keras import ops

from rocmr_keras.layers import parts
from rocmr_keras.layers.pixel_normalization import PixelNormalization
from rocmr_keras.layers.residual_block import ResidualBlock


@keras.saving.register_keras_serializable(package="rocmr_keras")
class ConvolutionalImageEncoder(keras.Model):
    """Encodes images with a residual net of 3x3 convolutions.

    A strided stem, then one stage per width: a strided 3x3 convolution
    between the stages, residual blocks inside them, global average pooling
    and a projection at the end. Only plain convolutions and a smooth
    activation, because an attack runs the net many times and follows its
    gradients. Trained from scratch; takes images of any size.

    Args:
        projection_dim: Integer, width of the embedding. Defaults to 128.
        stage_widths: Tuple of integers, channels of each stage. Defaults to
            `(32, 64, 128)`.
        stage_depths: Tuple of integers, residual blocks of each stage, one
            number per width. Defaults to `(1, 1, 1)`.
        stem_stride: Integer, side and stride of the patches the stem cuts
            the image into. Defaults to 4.
        normalization: `"batch"`, `"group"` or `"none"`. The last two behave
            alike in training and under attack; group statistics make an
            attack step about a third dearer on a CPU. Defaults to
            `"batch"`.
        activation: Name of the activation. Defaults to `"silu"`.
        mean: Three floats, subtracted from the pixels. Defaults to those of
            ImageNet.
        std: Three floats, divide the pixels. Defaults to those of ImageNet.
        **kwargs: `name`, `trainable`, `dtype` of a Keras model.

    Call arguments:
        images: Float tensor `(B, H, W, 3)` in `[0, 1]`.
        training: Boolean, whether batch statistics are used and moved.

    Returns:
        Float32 tensor `(B, projection_dim)`, not normalised.

    Raises:
        ValueError: If widths and depths differ in length, or
            `normalization` is unknown.

    Example:

    ```python
    encoder = rocmr_keras.models.ConvolutionalImageEncoder(projection_dim=64)
    embeddings = encoder(np.zeros((2, 64, 64, 3), "float32"))  # (2, 64)
    ```
    """

    def __init__(
        self,
        projection_dim=128,
        stage_widths=(32, 64, 128),
        stage_depths=(1, 1, 1),
        stem_stride=4,
        normalization="batch",
        activation="silu",
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        **kwargs,
    ):
        # Keras would else round pixels to half precision before they are normalised.
        super().__init__(autocast=False, **kwargs)
        if not stage_widths or len(stage_widths) != len(stage_depths):
            raise ValueError(
                "`stage_widths` and `stage_depths` must hold one number per "
                f"stage. Received: stage_widths={stage_widths}, "
                f"stage_depths={stage_depths}. Give each width a depth; 0 is "
                "allowed."
            )
        self.projection_dim = projection_dim
        self.stage_widths = tuple(stage_widths)
        self.stage_depths = tuple(stage_depths)
        self.stem_stride = stem_stride
        self.normalization = normalization
        self.activation = keras.activations.get(activation)
        self.mean = tuple(mean)
        self.std = tuple(std)
        self.build((None, None, None, 3))

    def build(self, input_shape):
        policy, width = self.dtype_policy, self.stage_widths[-1]
        self.pixel_normalization = PixelNormalization(self.mean, self.std, name="pixels")
        self.stem = parts.convolution(
            3,
            self.stage_widths[0],
            "stem",
            policy,
            kernel_size=self.stem_stride,
            strides=self.stem_stride,
        )
        self.body = self._make_body(policy)
        self.final_norm = parts.image_norm(self.normalization, width, "final_norm", policy)
        self.projection = parts.dense(
            width, self.projection_dim, "projection", "float32", use_bias=False
        )

    def _make_body(self, policy):
        body = []
        previous = None
        for stage, (width, depth) in enumerate(zip(self.stage_widths, self.stage_depths)):
            if previous is not None:
                name = f"downsample_{stage}"
                body.append(parts.convolution(previous, width, name, policy, strides=2))
            for index in range(depth):
                block = ResidualBlock(
                    width,
                    self.normalization,
                    self.activation,
                    name=f"stage_{stage}_block_{index}",
                    dtype=policy,
                )
                body.append(block)
            previous = width
        return body

    def call(self, images, training=None):
        # `training` reaches the layers through Keras's call context.
        x = self.stem(self.pixel_normalization(images))
        for layer in self.body:
            x = layer(x)
        x = self.activation(self.final_norm(x))
        x = ops.mean(ops.cast(x, "float32"), axis=(1, 2))
        return self.projection(x)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.projection_dim)

    def compute_output_spec(self, images, training=None):
        # Whatever the blocks compute in.
        return keras.KerasTensor(self.compute_output_shape(images.shape), "float32")

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "projection_dim": self.projection_dim,
                "stage_widths": list(self.stage_widths),
                "stage_depths": list(self.stage_depths),
                "stem_stride": self.stem_stride,
                "normalization": self.normalization,
                "activation": keras.activations.serialize(self.activation),
                "mean": list(self.mean),
                "std": list(self.std),
            }
        )
        return config
