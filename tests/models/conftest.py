import inspect

import keras
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
