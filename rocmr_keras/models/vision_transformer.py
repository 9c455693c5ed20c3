"""A vision transformer of the size you choose."""

import keras
from keras import ops

from rocmr_keras.layers import parts
from rocmr_keras.layers.dropout import Dropout
from rocmr_keras.layers.masked_average_pooling import MaskedAveragePooling
from rocmr_keras.layers.pixel_normalization import PixelNormalization
from rocmr_keras.layers.position_embedding import PositionEmbedding
from rocmr_keras.layers.transformer_block import TransformerBlock


@keras.saving.register_keras_serializable(package="rocmr_keras")
class VisionTransformer(keras.Model):
    """Encodes images with a transformer over patches.

    Cuts the image into square patches, adds learnt positions, and runs the
    same pre-norm blocks as the text tower; the embedding is the projected
    average of the patches, without a class token. Against
    `ConvolutionalImageEncoder` it needs more data and a fixed image size.

    Args:
        image_size: Tuple `(height, width)` in pixels, multiples of
            `patch_size`. Defaults to `(64, 64)`.
        patch_size: Integer, side of a patch in pixels. Defaults to 8.
        embedding_dim: Integer, width of the patches. Defaults to 128.
        num_layers: Integer, number of transformer blocks, 0 or more.
            Defaults to 4.
        num_heads: Integer, attention heads, divides `embedding_dim`.
            Defaults to 4.
        mlp_dim: Integer, width inside the blocks' perceptrons. Defaults to
            `4 * embedding_dim`.
        projection_dim: Integer, width of the embedding of an image.
            Defaults to 128.
        dropout: Float in `[0, 1)`, on the patches and in the blocks.
            Defaults to 0.
        mean: Three floats, subtracted from the pixels. Defaults to those of
            ImageNet.
        std: Three floats, divide the pixels. Defaults to those of ImageNet.
        **kwargs: `name`, `trainable`, `dtype` of a Keras model.

    Call arguments:
        images: Float tensor `(B, height, width, 3)` in `[0, 1]`.
        training: Boolean, whether dropout is active.

    Returns:
        Float32 tensor `(B, projection_dim)`, not normalised.

    Raises:
        ValueError: If patches do not tile the image, an image has another
            size, or an argument is outside the range of its layer.

    Example:

    ```python
    encoder = rocmr_keras.models.VisionTransformer(projection_dim=64)
    embeddings = encoder(np.zeros((2, 64, 64, 3), "float32"))  # (2, 64)
    ```

    Reference:
        - [Dosovitskiy et al., 2021](https://arxiv.org/abs/2010.11929)
    """

    def __init__(
        self,
        image_size=(64, 64),
        patch_size=8,
        embedding_dim=128,
        num_layers=4,
        num_heads=4,
        mlp_dim=None,
        projection_dim=128,
        dropout=0.0,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        **kwargs,
    ):
        # Keras would else round pixels to half precision before they are normalised.
        super().__init__(autocast=False, **kwargs)
        if num_layers < 0 or any(side % patch_size for side in image_size):
            raise ValueError(
                "Patches must tile the image and `num_layers` must be 0 or "
                f"more. Received: image_size={tuple(image_size)}, "
                f"patch_size={patch_size}, num_layers={num_layers}. Choose "
                "sides that are multiples of the patch size."
            )
        self.image_size = tuple(image_size)
        self.patch_size = patch_size
        self.embedding_dim = embedding_dim
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.mlp_dim = mlp_dim or 4 * embedding_dim
        self.projection_dim = projection_dim
        self.dropout = dropout
        self.mean = tuple(mean)
        self.std = tuple(std)
        self.build((None, *self.image_size, 3))

    def build(self, input_shape):
        width, policy = self.embedding_dim, self.dtype_policy
        rows, columns = (side // self.patch_size for side in self.image_size)
        self.pixel_normalization = PixelNormalization(self.mean, self.std, name="pixels")
        self.patch_embedding = parts.convolution(
            3,
            width,
            "patch_embedding",
            policy,
            kernel_size=self.patch_size,
            strides=self.patch_size,
        )
        self.position_embedding = PositionEmbedding(
            rows * columns, width, name="position_embedding", dtype=policy
        )
        self.drop = Dropout(self.dropout, name="drop", dtype=policy)
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

    def call(self, images, training=None):
        if tuple(images.shape[1:]) != (*self.image_size, 3):
            raise ValueError(
                "Images must have the size the positions were made for. "
                f"Received: images.shape={tuple(images.shape)}, "
                f"image_size={self.image_size}. Resize the images, or build "
                "the encoder with another `image_size`."
            )
        x = self.patch_embedding(self.pixel_normalization(images))
        x = ops.reshape(x, (-1, x.shape[1] * x.shape[2], self.embedding_dim))
        x = self.drop(self.position_embedding(x))
        for block in self.blocks:
            x = block(x)
        return self.projection(self.pooling(self.final_norm(x)))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.projection_dim)

    def compute_output_spec(self, images, training=None):
        # Whatever the blocks compute in.
        return keras.KerasTensor(self.compute_output_shape(images.shape), "float32")

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "image_size": self.image_size,
                "patch_size": self.patch_size,
                "embedding_dim": self.embedding_dim,
                "num_layers": self.num_layers,
                "num_heads": self.num_heads,
                "mlp_dim": self.mlp_dim,
                "projection_dim": self.projection_dim,
                "dropout": self.dropout,
                "mean": self.mean,
                "std": self.std,
            }
        )
        return config
