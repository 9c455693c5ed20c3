"""Compiled steps of a model that serve its next evaluation too, unless the model changed."""

import contextlib

import keras
import numpy as np

_NAME = "_encoders_of_evaluation"
_MOST = 8
_MOST_BYTES = 64 * 2**20
# What the first call of a layer, `fit`, `predict` or `save` write, and no compiled step reads.
_PASSING = {
    *("_called", "_parent_path", "_path", "_jit_compile", "_losses", "_loss_ids", "_lock"),
    *("train_function", "test_function", "predict_function", "stop_training", "history"),
    *("_jax_state", "_jax_state_synced", "_saved_model_inputs_spec", "_saved_model_arg_spec"),
    _NAME,
}
_PLAIN = (bool, int, float, str, bytes, type(None))


class KeptEncoders:
    """The encoders of a model, each lent to one user at a time and compiled once.

    A compiled step reads the weights as they are at each call, but everything else as it was
    when it was traced. So whatever the model's layers hold, and which of their weights train,
    is compared before each loan: after a change of freezing, precision, LoRA, quantization
    or of any other attribute, all encoders are made anew. What Python hides (a function's
    closure, an object in an attribute that changes inside) nobody sees, nor does Keras.

    Args:
        look: Function without arguments that returns what the steps depend on, see
            `structure`.
    """

    def __init__(self, look):
        self._look = look
        self._seen = []
        self._encoders = {}

    @contextlib.contextmanager
    def borrow(self, key, make):
        """Lends the encoder of a key.

        Args:
            key: Hashable, what it depends on besides the model; `None` if it is not kept.
            make: Function without arguments that returns the encoder, where there is none.
        """
        seen = self._look()
        if not _is_same(seen, self._seen):
            self._seen = seen
            self._encoders.clear()
        seen = self._seen
        # Taken out: whoever asks for the same meanwhile gets one of his own.
        encoder = self._encoders.pop(key, None)
        encoder = make() if encoder is None else encoder
        yield encoder
        if key is not None and seen is self._seen and _gallery_bytes(encoder) <= _MOST_BYTES:
            self._encoders[key] = encoder
            if len(self._encoders) > _MOST:
                self._encoders.pop(next(iter(self._encoders)))


def kept_encoders(model):
    """Returns the `KeptEncoders` of a model, the same ones as long as it lives.

    Args:
        model: A `DualEncoder`. Any other model that is not made of two Keras towers cannot be
            looked into, and gets new ones each time.
    """
    towers = (getattr(model, f"{side}_encoder", None) for side in ("image", "text"))
    if not all(isinstance(part, keras.layers.Layer) for part in (model, *towers)):
        return KeptEncoders(list)
    if _NAME not in vars(model):
        # Past Keras, which would take them for a part of the model. In the model, for they
        # hold it: in a table of weak keys both would live for ever.
        object.__setattr__(model, _NAME, KeptEncoders(lambda: structure(model)))
    return vars(model)[_NAME]


def structure(model):
    """Returns all that a compiled step of a model depends on, but the values of its variables.

    Args:
        model: Keras model, built.

    Returns:
        List of objects: the weights that train, those that do not, and of each layer the
        values of its attributes. As it holds them, none can pass for another one.
    """
    found = [*model.trainable_variables, None, *model.non_trainable_variables]
    for layer in model._flatten_layers():
        found.append(layer)
        for name, value in vars(layer).items():
            if name not in _PASSING:
                found.append(name)
                _add(found, value, depth=3)
    return found


def _add(found, value, depth):
    if depth and isinstance(value, dict):
        found += [len(value), *value]
        value = value.values()
    elif not depth or not isinstance(value, (list, tuple, set, frozenset)):
        found.append(value)
        return
    found.append(len(value))
    for part in value:
        _add(found, part, depth - 1)


def _is_same(first, second):
    return len(first) == len(second) and all(map(_is_equal, first, second))


def _is_equal(one, other):
    is_plain = type(one) is type(other) and isinstance(one, _PLAIN)
    return one is other or (is_plain and one == other)


def _gallery_bytes(encoder):
    gallery = getattr(encoder, "gallery", None)
    return 0 if gallery is None else 4 * int(np.prod(gallery.shape))
