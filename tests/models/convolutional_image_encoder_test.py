import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.models import ConvolutionalImageEncoder

IMAGES = np.random.RandomState(0).uniform(size=(2, 16, 16, 3)).astype("float32")


def small_encoder(**kwargs):
    return ConvolutionalImageEncoder(8, (16, 16), (1, 1), **kwargs)


@pytest.fixture(scope="module")
def encoder():
    return small_encoder()


def test_shapes(encoder):
    assert encoder(IMAGES).shape == (2, 8)
    assert encoder.built and encoder.projection_dim == 8
    assert [layer.name for layer in encoder.body] == [
        "stage_0_block_0",
        "downsample_1",
        "stage_1_block_0",
    ]
    paths = {weight.path for weight in encoder.weights}
    assert len(paths) == len(encoder.weights)


def test_without_a_body_it_is_a_linear_stem_and_a_pooled_activation(assign_weights):
    encoder = ConvolutionalImageEncoder(
        8, (16,), (0,), normalization="none", mean=(0.5,) * 3, std=(0.25,) * 3
    )
    assign_weights(encoder)
    kernel, bias, projection = encoder.get_weights()
    patches = ((IMAGES - 0.5) / 0.25).reshape(2, 4, 4, 4, 4, 3).transpose(0, 1, 3, 2, 4, 5)
    hidden = patches.reshape(2, 16, 48) @ kernel.reshape(48, 16) + bias
    expected = (hidden / (1 + np.exp(-hidden))).mean(axis=1) @ projection
    np.testing.assert_allclose(ops.convert_to_numpy(encoder(IMAGES)), expected, atol=1e-5)


def test_inference_leaves_the_statistics_alone(encoder):
    before = [value.copy() for value in encoder.get_weights()]
    encoder(IMAGES, training=False)
    for old, new in zip(before, encoder.get_weights()):
        np.testing.assert_array_equal(old, new)
    encoder(IMAGES, training=True)
    changed = [np.abs(a - b).max() > 0 for a, b in zip(before, encoder.get_weights())]
    assert any(changed)


def test_mixed_precision_ends_in_float32():
    encoder = small_encoder(dtype="mixed_bfloat16", normalization="group")
    outputs = encoder.compute_output_spec(keras.KerasTensor((None, 16, 16, 3)))
    assert outputs.shape == (None, 8) and outputs.dtype == "float32"
    assert encoder.stem.compute_dtype == encoder.body[0].compute_dtype == "bfloat16"


def test_config(check_config):
    check_config(
        small_encoder(
            stem_stride=2,
            normalization="none",
            activation="relu",
            mean=(0.1, 0.2, 0.3),
            std=(0.4, 0.5, 0.6),
            dtype="mixed_bfloat16",
        )
    )


def test_bad_arguments():
    with pytest.raises(ValueError, match="one number per stage. Received: stage_widths="):
        ConvolutionalImageEncoder(8, (16, 16), (1,))
    with pytest.raises(ValueError, match="Received: normalization='layer'"):
        small_encoder(normalization="layer")
