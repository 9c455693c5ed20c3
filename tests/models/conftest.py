import inspect

import keras
import numpy as np
import pytest


@pytest.fixture
def check_config():
    """Every constructor argument is a config key, and the config rebuilds the object."""

    def check(thing):
        config = thing.get_config()
        parameters = inspect.signature(type(thing).__init__).parameters.values()
        named = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert set(named[1:]) <= set(config)
        serialized = keras.saving.serialize_keras_object(thing)
        again = keras.saving.deserialize_keras_object(serialized)
        assert type(again) is type(thing)
        assert again.get_config() == config

    return check


@pytest.fixture
def assign_weights():
    """Gives a model the same small weights on every backend."""

    def assign(model, seed=0):
        random = np.random.RandomState(seed)
        for weight in model.weights:
            values = 0.2 * random.normal(size=weight.shape)
            if "variance" in weight.path:
                values = 0.5 + np.abs(values)
            weight.assign(values.astype("float32"))

    return assign
