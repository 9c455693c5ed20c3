"""Image towers, text towers, and the dual encoder that joins two."""

from rocmr_keras.models.adapter import Adapter
from rocmr_keras.models.convolutional_image_encoder import ConvolutionalImageEncoder
from rocmr_keras.models.dual_encoder import DualEncoder
from rocmr_keras.models.hub.backbone_image_encoder import BackboneImageEncoder
from rocmr_keras.models.hub.backbone_image_encoder import pixel_statistics
from rocmr_keras.models.hub.backbone_text_encoder import BackboneTextEncoder
from rocmr_keras.models.hub.efficientnet_lite import efficientnet_lite0
from rocmr_keras.models.hub.efficientnet_lite import efficientnet_lite2
from rocmr_keras.models.hub.pretrained import minilm_preprocessor
from rocmr_keras.models.hub.pretrained import minilm_words
from rocmr_keras.models.hub.pretrained import pretrained
from rocmr_keras.models.protocols import Attackable
from rocmr_keras.models.protocols import TextTower
from rocmr_keras.models.sizes import SIZES
from rocmr_keras.models.sizes import build
from rocmr_keras.models.text_encoder import TextEncoder
from rocmr_keras.models.vision_transformer import VisionTransformer

__all__ = [
    "Adapter",
    "Attackable",
    "BackboneImageEncoder",
    "BackboneTextEncoder",
    "ConvolutionalImageEncoder",
    "DualEncoder",
    "SIZES",
    "TextEncoder",
    "TextTower",
    "VisionTransformer",
    "build",
    "efficientnet_lite0",
    "efficientnet_lite2",
    "minilm_preprocessor",
    "minilm_words",
    "pixel_statistics",
    "pretrained",
]
