import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.layers import SimilarityHead

UNITS = np.eye(3, 2, dtype="float32")


def as_float(x):
    return float(ops.convert_to_numpy(x))


def test_scale_starts_at_the_inverse_temperature():
    head = SimilarityHead(initial_temperature=0.2)
    assert as_float(head.scale()) == pytest.approx(5.0, rel=1e-5)
    assert as_float(head.logit_scale) == pytest.approx(np.log(5.0), rel=1e-5)
    assert as_float(head.bias()) == 0.0
    assert len(head.weights) == 1


def test_logits_are_scaled_and_shifted_cosines():
    head = SimilarityHead(initial_temperature=0.1, use_bias=True)
    logits = ops.convert_to_numpy(head(UNITS, UNITS[:2]))
    np.testing.assert_allclose(logits, [[0, -10], [-10, 0], [-10, -10]], atol=1e-4)


def test_the_scale_is_capped():
    head = SimilarityHead()
    head.logit_scale.assign(9.0)
    assert as_float(head.scale()) == pytest.approx(100.0, rel=1e-5)
    head = SimilarityHead(max_scale=120.0)
    head.logit_scale.assign(9.0)
    assert as_float(head.scale()) == pytest.approx(120.0, rel=1e-5)


def test_a_weight_above_the_cap_is_clipped_and_can_come_down():
    head = SimilarityHead()
    head.logit_scale.assign(9.0)
    images, texts = keras.Input((2,)), keras.Input((2,))
    model = keras.Model([images, texts], head(images, texts))
    model.compile(keras.optimizers.SGD(1e-4), loss="mse")
    arrays = [UNITS[:2], UNITS[:2]]
    model.fit(arrays, np.zeros((2, 2), "float32"), epochs=2, verbose=0)
    assert as_float(head.scale()) < 99.9


def test_config(check_config):
    check_config(SimilarityHead(initial_temperature=0.5, use_bias=True, max_scale=50.0))


@pytest.mark.parametrize("temperature", [0.0, -1.0, 0.005, float("nan")])
def test_bad_temperature(temperature):
    with pytest.raises(ValueError, match="at least 0.01, .* Received: initial_temperature="):
        SimilarityHead(initial_temperature=temperature)


def test_bad_limit():
    with pytest.raises(ValueError, match="`max_scale` must be above 0. Received: max_scale=0"):
        SimilarityHead(max_scale=0)
