import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.models import Adapter
from rocmr_keras.models import DualEncoder
from rocmr_keras.models import TextEncoder

TOKEN_IDS = np.array([[2, 7, 9, 3, 0], [2, 5, 3, 0, 0]], "int32")
MASK = TOKEN_IDS != 0
IMAGES = np.random.RandomState(0).uniform(size=(2, 4, 4, 3)).astype("float32")


class FakePreprocessor:
    special_token_ids = (0, 2, 3)

    def tokenize(self, texts):
        return {"token_ids": TOKEN_IDS[: len(texts)], "padding_mask": MASK[: len(texts)]}


@pytest.fixture(scope="module")
def model():
    images = keras.Sequential(
        [keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(6)]
    )
    texts = TextEncoder(20, 6, embedding_dim=8, num_layers=0, projection_dim=6, dropout=0.5)
    return DualEncoder(images, texts, FakePreprocessor())


@pytest.fixture(scope="module")
def adapter(model):
    tower = model.text_encoder
    return Adapter(
        model.image_encoder, tower.encode, tower.embedding_table, FakePreprocessor(), scale=5.0
    )


def same(first, second):
    first, second = ops.convert_to_numpy(first), ops.convert_to_numpy(second)
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_the_same_as_the_dual_encoder_it_wraps(adapter, model):
    same(adapter.encode_images(IMAGES), model.encode_images(IMAGES))
    expected = model.encode_texts(TOKEN_IDS, MASK)
    same(adapter.encode_texts(TOKEN_IDS, MASK), expected)
    same(adapter.encode_texts(["one", "two"]), expected)
    rows = model.embed_tokens(TOKEN_IDS)
    same(adapter.embed_tokens(TOKEN_IDS), rows)
    same(adapter.encode_text_embeddings(rows, MASK), expected)
    both = adapter({"images": IMAGES, "token_ids": TOKEN_IDS, "padding_mask": MASK})
    same(both["text_embeddings"], expected)


def test_what_evaluation_asks_for(adapter, model):
    assert adapter.special_token_ids == (0, 2, 3)
    assert tuple(adapter.text_encoder.embedding_table.shape) == (20, 8)
    assert float(ops.convert_to_numpy(adapter.scale())) == 5.0
    scale = Adapter(
        model.image_encoder,
        model.text_encoder.encode,
        np.zeros((20, 8), "float32"),
        FakePreprocessor(),
        scale=model.scale,
        special_token_ids=[1],
    )
    same(scale.scale(), model.scale())
    assert scale.special_token_ids == (1,)


def test_channels_first(model):
    seen = []

    def encode_images(images):
        seen.append(tuple(images.shape))
        return model.image_encoder(ops.transpose(images, (0, 2, 3, 1)))

    table = model.text_encoder.embedding_table
    adapter = Adapter(
        encode_images, model.text_encoder.encode, table, None, data_format="channels_first"
    )
    same(adapter.encode_images(IMAGES), model.encode_images(IMAGES))
    assert seen == [(2, 3, 4, 4)] and adapter.special_token_ids == ()


def test_layers_do_not_train(model):
    """Batch statistics and dropout rest, also where a tower would run in training mode."""
    layers = [keras.layers.Flatten(), keras.layers.BatchNormalization(), keras.layers.Dropout(0.9)]
    tower = keras.Sequential([keras.Input((4, 4, 3)), *layers])
    table = model.text_encoder.embedding_table
    adapter = Adapter(tower, model.text_encoder.encode, table, None)
    before = [ops.convert_to_numpy(weight).copy() for weight in tower.weights]
    same(adapter.encode_images(IMAGES), adapter.encode_images(IMAGES))
    for weight, value in zip(tower.weights, before):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), value)


def test_errors(model):
    encode, table = model.text_encoder.encode, model.text_encoder.embedding_table
    for arguments, message in (
        ((None, encode, table, None), "`encode_images` must be callable. Received: .*None"),
        ((encode, 3, table, None), "`encode_text_embeddings` must be callable"),
        ((encode, encode, table, None, 3), "`embed_tokens` must be callable"),
        ((encode, encode, np.zeros(4), None), r"must have shape \(vocabulary_size, D\). Received"),
    ):
        with pytest.raises(ValueError, match=message):
            Adapter(*arguments)
    with pytest.raises(ValueError, match="Received: data_format='NCHW'"):
        Adapter(encode, encode, table, None, data_format="NCHW")
    with pytest.raises(NotImplementedError, match="is not saved. Save the model that it wraps"):
        Adapter(encode, encode, table, None).get_config()
