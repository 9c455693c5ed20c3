import os
import re

import numpy as np
import tensorflow as tf

# Registers the operations that tokenizers in a SavedModel consist of.
import tensorflow_text  # noqa: F401
from tensorflow.core.protobuf import saved_model_pb2

from rocmr_keras.serving.request_error import RequestError
from rocmr_keras.serving.tensor_protos import to_array

DEFAULT_SIGNATURE = "serving_default"


class Servable:
    """One version of a SavedModel: its signatures, checked before they run.

    Any SavedModel will do. What does not fit a signature is refused with a message that
    names what it takes. Safe to run from several threads.

    Args:
        path: Path of the folder that holds `saved_model.pb`.
        version: Integer, the version's number.

    Attributes:
        signature_defs: Dict of signature name to `SignatureDef`, as the file has them.

    Raises:
        OSError: If the folder holds no SavedModel that can be read.

    Example:

    ```python
    servable = Servable("serving/rocmr/1", version=1)
    servable.run("embed_texts", {"texts": np.array([b"a red apple"], object)})
    ```
    """

    def __init__(self, path, version):
        self.version = version
        self.signature_defs = read_signature_defs(path)
        # Its functions live as long as the object they came with.
        self._loaded = tf.saved_model.load(os.fspath(path))

    def signature(self, name):
        """Returns the `SignatureDef` of a name, `""` being the default one."""
        name = name or DEFAULT_SIGNATURE
        if name not in self._loaded.signatures:
            raise RequestError(
                f'Serving signature name: "{name}" not found in signature def. '
                f"This model has {sorted(self._loaded.signatures)}."
            )
        return self.signature_defs[name]

    def run(self, signature_name, inputs, output_names=()):
        """Runs one signature.

        Args:
            signature_name: String, `""` for the default one.
            inputs: Dict of input name to NumPy array, in the input's own type.
            output_names: Sequence of the outputs wanted. Defaults to all.

        Returns:
            A dict of output name to NumPy array.

        Raises:
            RequestError: If inputs or names do not fit, or the model refuses them.
        """
        signature_def = self.signature(signature_name)
        inputs = _fill(signature_def, inputs)
        _check_names(signature_def, inputs)
        for name, array in inputs.items():
            _check_tensor(name, array, signature_def.inputs[name])
        names = _check_outputs(signature_def, output_names)
        function = self._loaded.signatures[signature_name or DEFAULT_SIGNATURE]
        try:
            tensors = {
                name: tf.constant(array, _dtype(signature_def.inputs[name]), array.shape)
                for name, array in inputs.items()
            }
            outputs = function(**tensors)
            return {name: np.asarray(outputs[name].numpy()) for name in names}
        except tf.errors.OpError as error:
            raise RequestError(_reason(error), _code(error)) from error


def read_signature_defs(path):
    """Reads what the signatures of a SavedModel take and return, without loading it.

    Args:
        path: Path of the folder that holds `saved_model.pb`.

    Returns:
        A dict of signature name to `SignatureDef`.

    Raises:
        OSError: If there is no such file, or it has no graph for serving.
    """
    with open(os.path.join(path, "saved_model.pb"), "rb") as file:
        saved_model = saved_model_pb2.SavedModel.FromString(file.read())
    for graph in saved_model.meta_graphs:
        if tf.saved_model.SERVING in graph.meta_info_def.tags:
            return dict(graph.signature_def)
    raise OSError(f"No graph tagged 'serve' in {os.fspath(path)}")


def describe(signature_def):
    """Returns what a signature takes in one line, such as `texts: string[?], k: int32[]`."""
    inputs = sorted(signature_def.inputs.items())
    return ", ".join(f"{name}: {_describe(info)}" for name, info in inputs)


def _describe(info):
    shape = tf.TensorShape(info.tensor_shape)
    if shape.rank is None:
        return f"{_dtype(info).name}[...]"
    sizes = ", ".join("?" if size is None else str(size) for size in shape)
    return f"{_dtype(info).name}[{sizes}]"


def _dtype(info):
    return tf.as_dtype(info.dtype)


def _fill(signature_def, inputs):
    missing = set(signature_def.defaults) - set(inputs)
    defaults = signature_def.defaults
    return {**inputs, **{name: to_array(defaults[name], name, 2**30) for name in missing}}


def _check_names(signature_def, inputs):
    extra = sorted(set(inputs) - set(signature_def.inputs))
    missing = sorted(set(signature_def.inputs) - set(inputs))
    if extra or missing:
        raise RequestError(
            "Inputs must be those of the signature. "
            f"Received: {sorted(inputs)}. Sent extra: {extra}. Missing but required: {missing}. "
            f"The signature takes {describe(signature_def)}."
        )


def _check_tensor(name, array, info):
    expected = _dtype(info)
    received = tf.string if array.dtype.kind in "OSU" else tf.as_dtype(array.dtype)
    if received != expected or not tf.TensorShape(info.tensor_shape).is_compatible_with(
        array.shape
    ):
        raise RequestError(
            f"Input {name!r} must be {_describe(info)}. "
            f"Received: {received.name}{list(array.shape)}. Send that type and rank."
        )


def _check_outputs(signature_def, names):
    unknown = sorted(set(names) - set(signature_def.outputs))
    if unknown:
        raise RequestError(
            f"output tensor alias not found in signature: {unknown[0]} Outputs expected to be "
            f"in the set {sorted(signature_def.outputs)}."
        )
    return list(names) or sorted(signature_def.outputs)


def _code(error):
    names = {value: name for name, value in vars(tf.errors).items() if isinstance(value, int)}
    return names.get(error.error_code, "UNKNOWN")


# What TensorFlow adds about the graph; it may name files of the machine that exported.
_NOISE = re.compile(
    r"^(Graph execution error:|Detected at .*|<stack traces unavailable>|\s+.*|Node: .*)$", re.M
)


def _reason(error):
    text = re.sub(r"\s*\[\[\{\{node .*", "", error.message, flags=re.S)
    lines = [line for line in _NOISE.sub("", text).splitlines() if line.strip()]
    return " ".join(lines)[:1000] or "the model could not be run on these inputs"
