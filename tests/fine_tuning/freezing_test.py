"""What trains after `freeze` and `enable_lora`, and at what rate."""

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.fine_tuning import enable_lora
from rocmr_keras.fine_tuning import freeze_tower
from rocmr_keras.fine_tuning import layerwise_multipliers
from rocmr_keras.fine_tuning import ordered_blocks
from rocmr_keras.models import ConvolutionalImageEncoder
from rocmr_keras.models import DualEncoder
from rocmr_keras.models import TextEncoder

IMAGES = np.random.RandomState(0).uniform(size=(2, 8, 8, 3)).astype("float32")
TOKEN_IDS = np.array([[2, 5, 7, 3], [2, 4, 3, 0]], "int32")


def make_model(projection_dim=4):
    images = ConvolutionalImageEncoder(8, (8, 8), (1, 1), stem_stride=2)
    texts = TextEncoder(9, 6, 8, num_layers=3, num_heads=2, projection_dim=8)
    return DualEncoder(images, texts, projection_dim=projection_dim)


def encode_texts(model):
    texts = model.encode_texts(TOKEN_IDS, TOKEN_IDS != 0)
    return ops.convert_to_numpy(texts)


def trainable_parts(tower):
    """The layers directly in a tower whose weights train."""
    parts, _ = ordered_blocks(tower)
    return [part.name for part in parts if part.trainable_weights]


def test_blocks_of_own_towers():
    model = make_model()
    parts, blocks = ordered_blocks(model.text_encoder)
    assert blocks == list(model.text_encoder.blocks)
    names = ["token_embedding", "position_embedding", "block_0", "block_1", "block_2"]
    assert [part.name for part in parts] == [*names, "final_norm", "projection"]
    _, blocks = ordered_blocks(model.image_encoder)
    assert [block.name for block in blocks] == ["stage_0_block_0", "stage_1_block_0"]


@keras.saving.register_keras_serializable(package="rocmr_keras_tests")
class Stack(keras.layers.Layer):
    """Two feed-forward blocks in one layer, as some backbones hold their transformer."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = [
            keras.Sequential([keras.layers.Dense(16), keras.layers.Dense(8)], name=f"inner_{i}")
            for i in range(2)
        ]
        self.norm = keras.layers.LayerNormalization(name="norm")

    def call(self, inputs):
        for block in self.inner:
            inputs = block(inputs)
        return self.norm(inputs)


def test_blocks_are_found_inside_of_the_one_layer_that_holds_nearly_all():
    inputs = keras.Input((4,))
    x = keras.layers.Dense(8, name="stem")(inputs)
    x = Stack(name="stack")(x)
    tower = keras.Model(inputs, keras.layers.Dense(2, name="head")(x))
    parts, blocks = ordered_blocks(tower)
    assert [part.name for part in parts] == ["stem", "inner_0", "inner_1", "norm", "head"]
    assert [block.name for block in blocks] == ["inner_0", "inner_1"]
    freeze_tower(tower, 1)
    assert trainable_parts(tower) == ["inner_1", "norm", "head"]


def test_a_row_of_layers_is_a_row_of_blocks():
    layers = [keras.layers.Dense(3, name=f"dense_{i}") for i in range(3)]
    tower = keras.Sequential([keras.Input((4,)), *layers])
    assert ordered_blocks(tower) == (layers, layers)
    freeze_tower(tower, 2)
    assert trainable_parts(tower) == ["dense_1", "dense_2"]


def test_freeze_chooses_sides_blocks_and_projections():
    model = make_model()
    everything = len(model.trainable_weights)
    model.freeze(images="all", texts=1, similarity=True)
    assert not model.image_encoder.trainable_weights
    assert trainable_parts(model.text_encoder) == ["block_2", "final_norm", "projection"]
    assert not model.image_projection.trainable and model.text_projection.trainable
    assert not model.similarity_head.trainable_weights
    model.freeze(images="tower", texts=0)
    assert trainable_parts(model.text_encoder) == ["final_norm", "projection"]
    assert model.image_projection.trainable_weights and not model.image_encoder.trainable
    model.freeze(images="none", texts="none", similarity=False)
    assert len(model.trainable_weights) == everything


def test_frozen_parts_stay_frozen_when_saved_and_loaded(tmp_path):
    model = make_model()
    model.freeze(images="all", texts=1)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    paths = [[weight.path for weight in x.trainable_weights] for x in (model, again)]
    assert paths[0] == paths[1]
    np.testing.assert_allclose(encode_texts(model), encode_texts(again), atol=1e-6)


def test_frozen_batch_normalisation_keeps_its_statistics():
    model = make_model()
    model.freeze(images=1)
    moving = [weight for weight in model.image_encoder.weights if "moving" in weight.path]
    before = [ops.convert_to_numpy(weight).copy() for weight in moving]
    model.encode_images(IMAGES, training=True)
    moved = {
        weight.path: bool(np.any(ops.convert_to_numpy(weight) != old))
        for weight, old in zip(moving, before)
    }
    assert not any(moves for path, moves in moved.items() if "stage_0" in path)
    assert all(moves for path, moves in moved.items() if "stage_1" in path)


def test_batch_normalisation_is_frozen_alone(tmp_path):
    model = make_model()
    model.freeze(batch_norm=True)
    model.freeze(images="none")  # Thaws the rest of the tower.
    frozen = [w.path for w in model.image_encoder.weights if not w.trainable]
    assert len(frozen) == len(model.image_encoder.weights) - len(
        model.image_encoder.trainable_weights
    )
    assert frozen and all("norm" in path for path in frozen)
    assert any("kernel" in weight.path for weight in model.image_encoder.trainable_weights)
    model.save(tmp_path / "model.keras")
    for tower in (model, keras.saving.load_model(tmp_path / "model.keras")):
        both = [tower.encode_images(IMAGES, training=training) for training in (False, True)]
        np.testing.assert_allclose(*map(ops.convert_to_numpy, both), atol=1e-6)
    model.freeze(images="none", batch_norm=False)
    assert all("moving" in w.path for w in model.image_encoder.non_trainable_weights)


def test_lora_trains_little_and_starts_where_the_tower_was(tmp_path):
    model = make_model()
    before = encode_texts(model)
    adapted = enable_lora(model.text_encoder, rank=2)
    # Four of attention and two of the perceptron in each block, and the projection.
    assert len(adapted) == 3 * 6 + 1
    trained = model.text_encoder.trainable_weights
    assert len(trained) == 2 * len(adapted)
    assert all("lora" in weight.path for weight in trained)
    np.testing.assert_allclose(encode_texts(model), before, atol=1e-6)
    for weight in trained:
        weight.assign(weight + 0.1)
    after = encode_texts(model)
    assert np.abs(after - before).max() > 1e-3
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(encode_texts(again), after, atol=1e-5)
    assert not any("lora" in weight.path for weight in again.weights)


def test_rates_fall_towards_the_input():
    model = make_model()
    model.freeze(images="all")
    rates = layerwise_multipliers(model, 0.5)
    weights = model.trainable_weights
    assert len(rates) == len(weights)
    text_rates = dict(zip([id(weight) for weight in weights], rates))
    parts, _ = ordered_blocks(model.text_encoder)
    found = {part.name: {text_rates[id(w)] for w in part.trainable_weights} for part in parts}
    assert found == {
        "token_embedding": {0.0625},
        "position_embedding": {0.0625},
        "block_0": {0.125},
        "block_1": {0.25},
        "block_2": {0.5},
        "final_norm": {1.0},
        "projection": {1.0},
    }
    heads = [*model.text_projection.weights, *model.similarity_head.weights]
    assert {text_rates[id(weight)] for weight in heads} == {1.0}


def test_errors():
    model = make_model()
    with pytest.raises(ValueError, match="trainable_blocks=4, a tower of 3"):
        model.freeze(texts=4)
    with pytest.raises(ValueError, match="`images` must be 'all', .*images='some'"):
        model.freeze(images="some")
    assert model.frozen == {}
    with pytest.raises(ValueError, match="`rank` must be .*rank=0"):
        enable_lora(model.text_encoder, 0)
    with pytest.raises(ValueError, match="Dense and EinsumDense layers. Received: conv"):
        tower = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)], name="conv")
        enable_lora(tower, 2)
    enable_lora(model.text_encoder, 2)
    with pytest.raises(ValueError, match="enabled once"):
        enable_lora(model.text_encoder, 2)
    with pytest.raises(ValueError, match="Freeze first, and enable LoRA last"):
        model.freeze(texts=1)
    with pytest.raises(ValueError, match="`decay` must be .*decay=0"):
        layerwise_multipliers(model, 0)
