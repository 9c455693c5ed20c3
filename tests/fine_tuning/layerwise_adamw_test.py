import inspect

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.fine_tuning import LayerwiseAdamW

MULTIPLIERS = [0.25, 1.0, 0.0]


def variables():
    values = np.random.RandomState(0).normal(size=(3, 4)).astype("float32")
    return [keras.Variable(value, name=f"weight_{index}") for index, value in enumerate(values)]


def step(optimizer, weights, seed):
    gradients = np.random.RandomState(seed).normal(size=(3, 4)).astype("float32")
    optimizer.apply([ops.convert_to_tensor(gradient) for gradient in gradients], weights)


def test_each_weight_equals_adamw_at_its_own_rate():
    weights = variables()
    options = {"weight_decay": 0.1, "use_ema": True, "ema_momentum": 0.5}
    optimizer = LayerwiseAdamW(0.1, MULTIPLIERS, **options)
    for seed in range(3):
        step(optimizer, weights, seed)
    start = variables()
    for index, multiplier in enumerate(MULTIPLIERS):
        twins = variables()
        twin = keras.optimizers.AdamW(0.1 * multiplier, **options)
        for seed in range(3):
            step(twin, twins, seed)
        values = [ops.convert_to_numpy(x[index]) for x in (weights, twins)]
        np.testing.assert_allclose(*values, rtol=1e-5, atol=1e-6)
        moved = np.abs(values[0] - ops.convert_to_numpy(start[index])).max()
        assert (moved > 0) == (multiplier > 0)
    optimizer.finalize_variable_values(weights)
    twin.finalize_variable_values(twins)
    values = [ops.convert_to_numpy(x[2]) for x in (weights, twins)]
    np.testing.assert_allclose(*values, rtol=1e-5, atol=1e-6)


def test_without_multipliers_it_is_adamw_and_decay_can_be_kept_off():
    weights, twins = variables(), variables()
    ours, theirs = LayerwiseAdamW(0.1), keras.optimizers.AdamW(0.1)
    for optimizer, group in ((ours, weights), (theirs, twins)):
        optimizer.exclude_from_weight_decay(var_names=["weight_1"])
        step(optimizer, group, 0)
    for weight, twin in zip(weights, twins):
        values = [ops.convert_to_numpy(x) for x in (weight, twin)]
        np.testing.assert_allclose(*values, rtol=1e-5, atol=1e-6)


def test_config():
    optimizer = LayerwiseAdamW(0.1, MULTIPLIERS, global_clipnorm=1.0)
    config = optimizer.get_config()
    assert config["multipliers"] == MULTIPLIERS
    assert set(list(inspect.signature(LayerwiseAdamW).parameters)[:2]) <= set(config)
    assert LayerwiseAdamW.from_config(config).get_config() == config


def test_errors():
    with pytest.raises(ValueError, match="must not be negative. Received: multipliers="):
        LayerwiseAdamW(0.1, [-1.0])
    with pytest.raises(ValueError, match="2 multipliers, 3 variables"):
        step(LayerwiseAdamW(0.1, [1.0, 1.0]), variables(), 0)
