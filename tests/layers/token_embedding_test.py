import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.layers import TokenEmbedding

TOKEN_IDS = np.array([[1, 1, 1, 2], [2, 1, 0, 3]], "int32")


@keras.saving.register_keras_serializable(package="rocmr_keras_tests")
class OneHotEmbedding(TokenEmbedding):
    """The same lookup as a matrix product: its gradient cannot be sparse."""

    def call(self, token_ids):
        return ops.matmul(ops.one_hot(token_ids, self.vocabulary_size), self.embeddings)


def trained_table(layer, start):
    layer.set_weights([start])
    inputs = keras.Input((4,), dtype="int32")
    model = keras.Model(inputs, layer(inputs))
    model.compile(keras.optimizers.AdamW(0.1, weight_decay=0.01, clipnorm=0.5), loss="mse")
    targets = np.random.RandomState(1).normal(size=(2, 4, 3)).astype("float32")
    model.fit(TOKEN_IDS, targets, batch_size=2, epochs=3, shuffle=False, verbose=0)
    return ops.convert_to_numpy(layer.embeddings)


def test_rows_of_the_table():
    layer = TokenEmbedding(5, 3)
    table = np.arange(15.0).reshape(5, 3)
    layer.set_weights([table])
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(TOKEN_IDS)), table[TOKEN_IDS])
    assert layer(keras.KerasTensor((None, 7), "int32")).shape == (None, 7, 3)


def test_repeated_tokens_are_trained_as_by_a_dense_product():
    start = np.random.RandomState(0).normal(size=(5, 3)).astype("float32")
    looked_up = trained_table(TokenEmbedding(5, 3), start)
    multiplied = trained_table(OneHotEmbedding(5, 3), start)
    np.testing.assert_allclose(looked_up, multiplied, atol=1e-5)
    assert np.abs(looked_up - start).max() > 0.1


def test_rows_keep_the_precision_of_the_table():
    layer = TokenEmbedding(5, 3, dtype="mixed_bfloat16")
    assert keras.backend.standardize_dtype(layer(TOKEN_IDS).dtype) == "float32"


def test_config(check_config):
    check_config(TokenEmbedding(5, 3))


def test_bad_size():
    with pytest.raises(ValueError, match="at least 1. Received: vocabulary_size=0"):
        TokenEmbedding(0, 3)
