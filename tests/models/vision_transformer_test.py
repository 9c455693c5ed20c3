import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.models import VisionTransformer

IMAGES = np.random.RandomState(0).uniform(size=(2, 8, 16, 3)).astype("float32")


def small_encoder(**kwargs):
    arguments = dict(image_size=(8, 16), patch_size=4, embedding_dim=8, num_layers=1)
    arguments.update(num_heads=2, mlp_dim=16, projection_dim=6, **kwargs)
    return VisionTransformer(**arguments)


def test_without_blocks_it_is_pooled_patches(assign_weights):
    encoder = VisionTransformer(
        (8, 16), 4, 8, num_layers=0, num_heads=2, projection_dim=6, mean=(0.5,) * 3, std=(0.25,) * 3
    )
    assign_weights(encoder)
    kernel, bias, positions, gamma, beta, projection = encoder.get_weights()
    pixels = (IMAGES - 0.5) / 0.25
    patches = pixels.reshape(2, 2, 4, 4, 4, 3).transpose(0, 1, 3, 2, 4, 5).reshape(2, 8, 48)
    x = patches @ kernel.reshape(48, 8) + bias + positions
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * gamma + beta
    expected = x.mean(axis=1) @ projection
    np.testing.assert_allclose(ops.convert_to_numpy(encoder(IMAGES)), expected, atol=1e-5)


def test_mixed_precision_ends_in_float32():
    encoder = small_encoder(dtype="mixed_bfloat16")
    outputs = encoder.compute_output_spec(keras.KerasTensor((None, 8, 16, 3)))
    assert outputs.shape == (None, 6) and outputs.dtype == "float32"
    assert encoder.blocks[0].compute_dtype == "bfloat16"
    paths = {weight.path for weight in encoder.weights}
    assert len(paths) == len(encoder.weights)


def test_config(check_config):
    check_config(small_encoder(dropout=0.1, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6)))


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"tile the image .* Received: image_size=\(8, 10\)"):
        VisionTransformer(image_size=(8, 10), patch_size=4)
    with pytest.raises(ValueError, match=r"Received: images.shape=\(2, 16, 16, 3\)"):
        small_encoder()(np.zeros((2, 16, 16, 3), "float32"))
