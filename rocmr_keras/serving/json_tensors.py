"""JSON of TensorFlow Serving's REST interface to NumPy arrays and back."""

import base64
import binascii
import json

import numpy as np
import tensorflow as tf

from rocmr_keras.serving.request_error import RequestError
from rocmr_keras.serving.servable import describe

_MAX_RANK = 32


def read_predict(body, find_signature):
    """Reads the body of a predict request, in the row or the columnar format.

    Args:
        body: Bytes, JSON with `instances` or `inputs`, and perhaps `signature_name`.
        find_signature: Callable from a signature's name to its `SignatureDef`.

    Returns:
        Tuple of the signature's name, a dict of input name to NumPy array, and whether
        the request is in the row format.

    Raises:
        RequestError: If the body is anything else.
    """
    request = _parse(body)
    if not isinstance(request, dict) or ("instances" in request) == ("inputs" in request):
        raise RequestError(
            "The body must be a JSON object with either 'instances' (row format) or 'inputs' "
            f"(columnar format). Received: {_kind(request)}. "
            'Send for example {"inputs": {"texts": ["a red apple"]}}.'
        )
    name = request.get("signature_name", "")
    if not isinstance(name, str):
        raise RequestError(
            f"'signature_name' must be a string. Received: {_kind(name)}. Leave it out for "
            "'serving_default'."
        )
    signature_def = find_signature(name)
    is_row = "instances" in request
    columns = (
        _transpose(request["instances"], signature_def)
        if is_row
        else _columns(request["inputs"], signature_def)
    )
    return name, {key: _to_array(key, columns[key], signature_def) for key in columns}, is_row


def write_predict(outputs, is_row):
    """Writes the outputs of a model in the format of the request.

    Args:
        outputs: Dict of output name to NumPy array.
        is_row: Boolean, whether the request was in the row format.

    Returns:
        Bytes, JSON with `predictions` or `outputs`.

    Raises:
        RequestError: If rows are asked for and the outputs have no common batch size.
    """
    if is_row:
        sizes = {name: len(array) if array.ndim else None for name, array in outputs.items()}
        if len(set(sizes.values())) > 1 or None in sizes.values():
            raise RequestError(
                f"The row format needs outputs of one batch size. Received: {sizes}. "
                "Ask in the columnar format, with 'inputs'."
            )
    values = {name: _to_json(name, array) for name, array in outputs.items()}
    if len(values) == 1:
        (value,) = values.values()
    elif is_row:
        value = [dict(zip(values, row)) for row in zip(*values.values())]
    else:
        value = values
    return json.dumps({"predictions" if is_row else "outputs": value}).encode()


def _parse(body):
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise RequestError(f"JSON Parse error: {reason}") from error


def _columns(inputs, signature_def):
    if isinstance(inputs, dict) and not _is_encoded(inputs):
        return _known(inputs, signature_def)
    return {_only_input(signature_def): inputs}


def _transpose(instances, signature_def):
    if not isinstance(instances, list) or not instances:
        raise RequestError(
            f"'instances' must be a list of at least one. Received: {_kind(instances)}. "
            "Put a single instance into a list."
        )
    named = [isinstance(row, dict) and not _is_encoded(row) for row in instances]
    if not any(named):
        return {_only_input(signature_def): instances}
    if not all(named) or any(set(row) != set(instances[0]) for row in instances):
        raise RequestError(
            "'instances' must all name the same inputs. Received: instances that differ. "
            f"The signature takes {describe(signature_def)}."
        )
    names = _known(instances[0], signature_def)
    return {name: [row[name] for row in instances] for name in names}


def _known(inputs, signature_def):
    extra = sorted(set(inputs) - set(signature_def.inputs))
    missing = sorted(set(signature_def.inputs) - set(inputs) - set(signature_def.defaults))
    if extra or missing:
        raise RequestError(
            f"Inputs must be those of the signature. Received: {sorted(inputs)}. "
            f"Sent extra: {extra}. Missing but required: {missing}. "
            f"The signature takes {describe(signature_def)}."
        )
    return inputs


def _only_input(signature_def):
    required = sorted(set(signature_def.inputs) - set(signature_def.defaults))
    if len(required) != 1:
        raise RequestError(
            "Values without names need a signature of one input. "
            f"Received: no names. The signature takes {describe(signature_def)}."
        )
    return required[0]


def _to_array(name, value, signature_def):
    dtype = tf.as_dtype(signature_def.inputs[name].dtype)
    flat, shape = _flatten(name, value)
    if dtype == tf.string:
        array = np.empty(len(flat), object)
        array[:] = [_to_bytes(name, item) for item in flat]
        return array.reshape(shape)
    allowed = {bool} if dtype == tf.bool else {int, float} if dtype.is_floating else {int}
    wrong = next((item for item in flat if type(item) not in allowed), None)
    if wrong is not None or None in flat:
        raise RequestError(
            f"JSON Value: {json.dumps(wrong)[:80]} Type: {_kind(wrong)} is not of expected type: "
            f"{dtype.name}, which input {name!r} takes."
        )
    try:
        with np.errstate(over="ignore"):
            return np.array(flat, dtype.as_numpy_dtype).reshape(shape)
    except OverflowError as error:
        raise RequestError(
            f"Input {name!r} must hold numbers of type {dtype.name}. "
            "Received: a number out of its range. Send one inside."
        ) from error


def _flatten(name, value):
    shape, level = [], [value]
    while level and all(isinstance(item, list) for item in level):
        sizes = {len(item) for item in level}
        if len(sizes) > 1 or len(shape) == _MAX_RANK:
            break
        shape.append(sizes.pop())
        level = [inner for item in level for inner in item]
    if any(isinstance(item, list) for item in level):
        raise RequestError(
            f"Input {name!r} must be a rectangular nesting of at most {_MAX_RANK} lists. "
            "Received: lists that differ in length or depth. Pad them to one length."
        )
    return level, shape


def _to_bytes(name, item):
    if isinstance(item, str):
        return item.encode("utf-8", "replace")
    try:
        if _is_encoded(item):
            return base64.b64decode(item["b64"], validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise RequestError(
            f"Input {name!r} must hold valid base64 in 'b64'. Received: {error}. "
            'Send {"b64": "..."} with standard base64 and its padding.'
        ) from error
    raise RequestError(
        f"JSON Value: {json.dumps(item)[:80]} Type: {_kind(item)} is not of expected type: "
        f'string, which input {name!r} takes; bytes are written {{"b64": "..."}}.'
    )


def _is_encoded(item):
    return isinstance(item, dict) and set(item) == {"b64"}


def _to_json(name, array):
    values = array.tolist()
    if array.dtype != object:
        return values
    return _map(values, _encode if name.endswith("_bytes") else _to_text)


def _map(values, function):
    if isinstance(values, list):
        return [_map(value, function) for value in values]
    return function(values)


def _encode(value):
    return {"b64": base64.b64encode(value).decode()}


def _to_text(value):
    try:
        return value.decode()
    except UnicodeDecodeError:
        # TensorFlow Serving would write the bytes as they are, which is no JSON.
        return _encode(value)


def _kind(value):
    if isinstance(value, dict):
        return f"an object with {sorted(value)[:8]}"
    names = {list: "a list", str: "a string", bool: "a bool", int: "a number", float: "a number"}
    return names.get(type(value), "null")
