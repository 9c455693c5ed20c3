import keras
import numpy as np
import pytest

from rocmr_keras.models import Attackable
from rocmr_keras.models import TextTower
from rocmr_keras.models import towers


class Tower(keras.layers.Layer):
    embedding_table = None

    def __init__(self, projection_dim, built=True):
        super().__init__(name="tower")
        self.projection_dim = projection_dim
        self.built = built

    def embed(self, token_ids):
        return token_ids

    def encode(self, embeddings, padding_mask, training=False):
        return embeddings


def test_widths_are_found():
    inputs = keras.Input((2,))
    functional = keras.Model(inputs, keras.layers.Reshape((2,))(inputs))
    assert towers.check(functional, Tower(2), None) == (2, 2)
    assert towers.check(Tower(3), Tower(2), 5) == (3, 2)


@pytest.mark.parametrize(
    "image_encoder, text_encoder, message",
    [
        (Tower(2), keras.layers.Identity(), "without embed, encode, embedding_table"),
        (Tower(2, built=False), Tower(2), "which is not built: call it once"),
        (Tower(None, built=False), keras.layers.Identity(), "not built.*image_encoder.*without"),
        (Tower(None), Tower(2), "with projection_dim=None"),
        (Tower(2), Tower(3), "Received: image width 2, text width 3"),
        ("resnet", Tower(2), "Received: image_encoder=resnet"),
    ],
)
def test_unusable_towers(image_encoder, text_encoder, message):
    with pytest.raises(ValueError, match=message):
        towers.check(image_encoder, text_encoder, None)


def test_protocols_say_what_is_asked_for(small_model):
    assert isinstance(small_model.text_encoder, TextTower) and isinstance(Tower(2), TextTower)
    assert not isinstance(small_model.image_encoder, TextTower)
    assert isinstance(small_model, Attackable)
    assert not isinstance(small_model.text_encoder, Attackable)


def test_what_counts_as_strings():
    assert towers.is_strings("a cat")
    assert towers.is_strings(["a cat"])
    assert towers.is_strings(np.array(["a cat"]))
    assert not towers.is_strings([[1, 2]])
    assert not towers.is_strings(np.array([[1, 2]]))
    assert not towers.is_strings([])


@pytest.mark.parametrize(
    "images, message",
    [
        (np.zeros((8, 8, 3), "float32"), r"shape \(8, 8, 3\) and dtype float32"),
        (np.zeros((1, 8, 8, 1), "float32"), r"shape \(1, 8, 8, 1\)"),
        (np.zeros((1, 8, 8, 3), "uint8"), "dtype uint8. .* divide uint8 pixels by 255"),
    ],
)
def test_bad_images(images, message):
    with pytest.raises(ValueError, match=message):
        towers.check_images(images)


def test_bad_token_ids():
    with pytest.raises(ValueError, match="Received: padding_mask=None"):
        towers.check_token_ids(np.zeros((1, 2)), None)
    with pytest.raises(ValueError, match=r"Received: token_ids.shape=\(2,\)"):
        towers.check_token_ids(np.zeros(2), np.zeros((1, 2)))
