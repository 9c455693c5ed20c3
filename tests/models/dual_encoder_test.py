import json
import pathlib

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.models import ConvolutionalImageEncoder
from rocmr_keras.models import DualEncoder
from rocmr_keras.models import TextEncoder
from rocmr_keras.models import VisionTransformer

GOLDEN = pathlib.Path(__file__).parent / "golden.json"
TOKEN_IDS = np.array([[2, 7, 7, 3, 0], [2, 5, 3, 0, 0], [2, 8, 4, 5, 3]], "int32")
BATCH = {
    "images": np.random.RandomState(0).uniform(size=(3, 16, 16, 3)).astype("float32"),
    "token_ids": TOKEN_IDS,
    "padding_mask": TOKEN_IDS != 0,
    "image_ids": np.arange(3, dtype="int32"),
}


@keras.saving.register_keras_serializable(package="rocmr_keras_tests")
class TwoWordPreprocessor:
    special_token_ids = (0, 1, 2, 3)

    def __init__(self, words):
        self.words = words

    def tokenize(self, texts):
        words = [[4 + self.words.index(word) for word in text.split()] for text in texts]
        token_ids = np.array([[2, *pair, 3, 0] for pair in words], "int32")
        return {"token_ids": token_ids, "padding_mask": token_ids != 0}

    def get_config(self):
        return {"words": self.words}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def make_model(image_tower="cnn", depth=1, **kwargs):
    if image_tower == "cnn":
        image_encoder = ConvolutionalImageEncoder(8, (16, 16), (depth, 1))
    else:
        image_encoder = VisionTransformer(
            (16, 16), 8, 8, num_layers=1, num_heads=2, mlp_dim=16, projection_dim=8
        )
    text_encoder = TextEncoder(9, 6, 8, num_layers=1, num_heads=2, projection_dim=6)
    return DualEncoder(image_encoder, text_encoder, **{"projection_dim": 4, **kwargs})


@pytest.fixture(scope="module")
def model():
    return make_model(preprocessor=TwoWordPreprocessor(["red", "cat"]))


def to_numpy(outputs):
    return {name: ops.convert_to_numpy(value) for name, value in outputs.items()}


def test_embeddings_are_unit_vectors(model):
    outputs = to_numpy(model(BATCH))
    assert set(outputs) == {"image_embeddings", "text_embeddings"}
    for embeddings in outputs.values():
        assert embeddings.shape == (3, 4) and embeddings.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1.0, atol=1e-5)


def test_parts_equal_the_whole(model):
    outputs = to_numpy(model(BATCH))
    images = ops.convert_to_numpy(model.encode_images(BATCH["images"]))
    np.testing.assert_allclose(images, outputs["image_embeddings"], atol=1e-6)
    rows = model.embed_tokens(TOKEN_IDS)
    texts = model.encode_text_embeddings(rows, BATCH["padding_mask"])
    np.testing.assert_allclose(ops.convert_to_numpy(texts), outputs["text_embeddings"], atol=1e-6)


def test_similarity_and_logits(model):
    images, texts = np.eye(2, 4, dtype="float32"), np.eye(3, 4, dtype="float32")
    cosines = ops.convert_to_numpy(model.similarity(images, texts))
    np.testing.assert_array_equal(cosines, np.eye(2, 3))
    logits = ops.convert_to_numpy(model.logits(images, texts))
    np.testing.assert_allclose(logits, np.eye(2, 3) / 0.07, rtol=1e-5)
    assert float(ops.convert_to_numpy(model.scale())) == pytest.approx(1 / 0.07, rel=1e-5)
    assert float(ops.convert_to_numpy(model.bias())) == 0.0


def test_strings_go_through_the_preprocessor(model):
    texts = model.encode_texts(["red cat", "cat red", "cat cat"])
    token_ids = np.array([[2, 4, 5, 3, 0], [2, 5, 4, 3, 0], [2, 5, 5, 3, 0]])
    expected = model.encode_texts(token_ids, token_ids != 0)
    np.testing.assert_array_equal(ops.convert_to_numpy(texts), ops.convert_to_numpy(expected))
    assert model.special_token_ids == (0, 1, 2, 3)


def test_save_and_load(model, tmp_path):
    expected = to_numpy(model(BATCH))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for name, value in to_numpy(loaded(BATCH)).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-6)
    assert loaded.preprocessor.words == ["red", "cat"]


def test_config():
    model = make_model(
        initial_temperature=0.5, use_logit_bias=True, projection_dim=3, max_scale=50.0
    )
    config = model.get_config()
    again = DualEncoder.from_config(config).get_config()
    assert again == config
    assert set(config) >= {
        "image_encoder",
        "text_encoder",
        "preprocessor",
        "projection_dim",
        "initial_temperature",
        "use_logit_bias",
        "max_scale",
    }
    assert model.special_token_ids == ()


def test_summary_and_symbolic_call(model):
    model.summary(print_fn=lambda *_: None)
    specs = {name: keras.KerasTensor((None, *x.shape[1:]), x.dtype) for name, x in BATCH.items()}
    outputs = model.compute_output_spec(specs)
    assert outputs["image_embeddings"].shape == (None, 4)


def test_it_is_a_part_of_a_functional_model(model):
    inputs = {
        name: keras.Input(BATCH[name].shape[1:], dtype=str(BATCH[name].dtype), name=name)
        for name in ("images", "token_ids", "padding_mask")
    }
    functional = keras.Model(inputs, model(inputs))
    found = to_numpy(functional({name: BATCH[name] for name in inputs}))
    for name, value in to_numpy(model(BATCH)).items():
        np.testing.assert_allclose(found[name], value, atol=1e-6)
    # What `plot_model` writes into the box.
    layer = functional.get_layer(model.name)
    assert [x.shape for x in layer.output] == [(None, 4), (None, 4)]


def test_fit_moves_every_weight():
    class Trained(keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder = make_model(depth=0, dtype="mixed_bfloat16")
            self.built = True

        def call(self, inputs, training=None):
            outputs = self.encoder(inputs, training=training)
            return self.encoder.logits(outputs["image_embeddings"], outputs["text_embeddings"])

    trained = Trained()
    before = trained.get_weights()
    trained.compile(
        keras.optimizers.AdamW(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    # The second caption is nothing but padding: it must not spoil the gradient.
    batch = {**BATCH, "padding_mask": BATCH["padding_mask"] & [[True], [False], [True]]}
    history = trained.fit(batch, np.arange(3), batch_size=3, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    for weight, old, new in zip(trained.weights, before, trained.get_weights()):
        assert np.isfinite(new).all() and (np.abs(new - old).max() > 0), weight.path


@pytest.mark.parametrize("image_tower", ["cnn", "vit"])
def test_the_same_weights_give_the_same_embeddings_on_every_backend(image_tower, assign_weights):
    model = make_model(image_tower)
    assign_weights(model)
    golden = json.loads(GOLDEN.read_text())[image_tower]
    for name, value in to_numpy(model(BATCH)).items():
        np.testing.assert_allclose(value, golden[name], atol=1e-5)


def test_the_same_seed_gives_the_same_model_on_every_backend():
    keras.utils.set_random_seed(5)
    outputs = to_numpy(make_model()(BATCH))
    golden = json.loads(GOLDEN.read_text())["seed_5"]
    for name, value in outputs.items():
        np.testing.assert_allclose(value, golden[name], atol=1e-5)


def test_errors(model):
    with pytest.raises(ValueError, match="image width 8, text width 6, projection_dim=None"):
        make_model(projection_dim=None)
    with pytest.raises(ValueError, match="needs a preprocessor. Received: texts="):
        DualEncoder(model.image_encoder, model.text_encoder, None, 4).encode_texts(["cat"])
    with pytest.raises(ValueError, match="Put the caption into a list"):
        model.encode_texts("red cat")
    with pytest.raises(ValueError, match="Token ids need a `padding_mask`"):
        model.encode_texts(TOKEN_IDS)
    with pytest.raises(ValueError, match="must be a float batch"):
        model.encode_images(BATCH["images"][0])
