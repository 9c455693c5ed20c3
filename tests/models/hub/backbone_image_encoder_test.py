import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.backend import value_and_grad
from rocmr_keras.models import BackboneImageEncoder
from rocmr_keras.models import pixel_statistics

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
IMAGES = np.random.RandomState(0).uniform(size=(2, 16, 16, 3)).astype("float32")

# Family, pooling, and the same pooling of the backbone's own output in NumPy.
FAMILIES = [
    ("clip_vision", None, lambda x: x[:, 0]),
    ("clip_vision", "average", lambda x: x.mean(1)),
    ("siglip_vision", None, lambda x: x),
    ("vit", "cls", lambda x: x[:, 0]),
    ("resnet", None, lambda x: x.mean((1, 2))),
    ("efficientnet", "average", lambda x: x.mean((1, 2))),
    ("mobilenet", None, lambda x: x.mean((1, 2))),
    ("application", None, lambda x: x),
]


def normalized(images):
    return ((images - np.array(MEAN)) / np.array(STD)).astype("float32")


def run(backbone, x):
    return ops.convert_to_numpy(backbone({"images": x} if isinstance(backbone.input, dict) else x))


@pytest.mark.parametrize("family, pooling, pool", FAMILIES)
def test_the_same_as_the_backbone_itself(backbone, family, pooling, pool):
    net = backbone(family)
    encoder = BackboneImageEncoder(net, pooling, mean=MEAN, std=STD)
    expected = pool(run(net, normalized(IMAGES)))
    np.testing.assert_allclose(ops.convert_to_numpy(encoder(IMAGES)), expected, atol=1e-5)
    assert encoder.projection_dim == expected.shape[1]
    assert len(encoder.weights) == len(net.weights)


@pytest.mark.parametrize("family", ["clip_vision", "resnet"])
def test_gradient_reaches_every_image_and_save_and_load(backbone, family, tmp_path):
    encoder = BackboneImageEncoder(backbone(family), None, 6, hidden_dim=5, mean=MEAN, std=STD)
    images = ops.convert_to_tensor(IMAGES)
    _, gradient = value_and_grad(lambda x: ops.sum(encoder(x) ** 2, axis=-1))(images)
    assert (np.abs(ops.convert_to_numpy(gradient)).max((1, 2, 3)) > 0).all()
    encoder.save(tmp_path / "tower.keras")
    loaded = keras.saving.load_model(tmp_path / "tower.keras")
    np.testing.assert_allclose(
        ops.convert_to_numpy(loaded(IMAGES)), ops.convert_to_numpy(encoder(IMAGES)), atol=1e-6
    )


def test_blue_first_after_the_normalisation(backbone):
    net = backbone("application")
    encoder = BackboneImageEncoder(net, mean=MEAN, std=STD, channel_order="bgr")
    expected = run(net, normalized(IMAGES)[..., ::-1])
    np.testing.assert_allclose(ops.convert_to_numpy(encoder(IMAGES)), expected, atol=1e-5)


def test_a_frozen_backbone_is_never_in_training():
    images = keras.Input((4, 4, 3))
    x = keras.layers.BatchNormalization()(keras.layers.Dropout(0.5)(images))
    net = keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))
    encoder = BackboneImageEncoder(net, projection_dim=2)
    batch = IMAGES[:, :4, :4]
    clean = ops.convert_to_numpy(encoder(batch, training=False))
    assert np.abs(ops.convert_to_numpy(encoder(batch, training=True)) - clean).max() > 1e-3
    net.trainable = False
    before = [ops.convert_to_numpy(weight) for weight in net.weights]
    clean = ops.convert_to_numpy(encoder(batch, training=False))
    np.testing.assert_array_equal(ops.convert_to_numpy(encoder(batch, training=True)), clean)
    for weight, old in zip(net.weights, before):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), old)


def test_positions_of_a_fresh_clip_encoder(backbone):
    BackboneImageEncoder(backbone("clip_vision"))
    ids = backbone("clip_vision").embedding.position_ids
    np.testing.assert_array_equal(ops.convert_to_numpy(ids), [[0, 1, 2, 3, 4]])


def test_pixel_statistics():
    class Converter:
        scale = [1 / (255 * 0.2), 1 / (255 * 0.3), 1 / (255 * 0.25)]
        offset = [-0.4 / 0.2, -0.5 / 0.3, -0.6 / 0.25]

    np.testing.assert_allclose(pixel_statistics(Converter()), (MEAN, STD), rtol=1e-6)
    Converter.scale, Converter.offset = 1 / 127.5, -1.0
    np.testing.assert_allclose(pixel_statistics(Converter()), np.full((2, 3), 0.5), rtol=1e-6)
    Converter.scale = Converter.offset = None
    mean, std = pixel_statistics(Converter())
    np.testing.assert_allclose(mean + std, [0, 0, 0] + [1 / 255] * 3, rtol=1e-6)


def test_config(backbone, check_config):
    net = backbone("application")
    check_config(BackboneImageEncoder(net, "pooled", 4, 3, MEAN, STD, "bgr"))


def test_bad_arguments(backbone):
    net = backbone("clip_vision")
    with pytest.raises(ValueError, match="fit the output.*pooling='pooled', output of shape"):
        BackboneImageEncoder(net, pooling="pooled")
    with pytest.raises(ValueError, match=r"takes images of \(16, 16\) pixels. Received"):
        BackboneImageEncoder(net)(np.zeros((1, 8, 8, 3), "float32"))
    with pytest.raises(ValueError, match="of one image input"):
        BackboneImageEncoder(backbone("bert"))
    with pytest.raises(ValueError, match="Received: channel_order='grb'"):
        BackboneImageEncoder(net, channel_order="grb")
    with pytest.raises(ValueError, match="A `hidden_dim` needs a `projection_dim`"):
        BackboneImageEncoder(net, hidden_dim=4)
