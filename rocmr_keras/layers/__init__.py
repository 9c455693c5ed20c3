"""Small Keras layers the towers are made of."""

from rocmr_keras.layers.batch_normalization import BatchNormalization
from rocmr_keras.layers.convolutions import Conv2D
from rocmr_keras.layers.convolutions import DepthwiseConv2D
from rocmr_keras.layers.dropout import Dropout
from rocmr_keras.layers.initializers import PortableNormal
from rocmr_keras.layers.masked_average_pooling import MaskedAveragePooling
from rocmr_keras.layers.normalization import l2_normalize
from rocmr_keras.layers.pixel_normalization import PixelNormalization
from rocmr_keras.layers.position_embedding import PositionEmbedding
from rocmr_keras.layers.projection_head import ProjectionHead
from rocmr_keras.layers.residual_block import ResidualBlock
from rocmr_keras.layers.similarity_head import SimilarityHead
from rocmr_keras.layers.token_embedding import TokenEmbedding
from rocmr_keras.layers.transformer_block import TransformerBlock

__all__ = [
    "BatchNormalization",
    "Conv2D",
    "DepthwiseConv2D",
    "Dropout",
    "MaskedAveragePooling",
    "PixelNormalization",
    "PortableNormal",
    "PositionEmbedding",
    "ProjectionHead",
    "ResidualBlock",
    "SimilarityHead",
    "TokenEmbedding",
    "TransformerBlock",
    "l2_normalize",
]
