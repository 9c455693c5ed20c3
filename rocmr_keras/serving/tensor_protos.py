"""`TensorProto` to NumPy and back, as TensorFlow Serving reads and writes it."""

import math

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from rocmr_keras.serving.request_error import RequestError

# A server answers in these fields, never in `tensor_content`: clients read them directly.
_FIELDS = {
    "float32": "float_val",
    "float64": "double_val",
    "int8": "int_val",
    "uint8": "int_val",
    "int16": "int_val",
    "uint16": "int_val",
    "int32": "int_val",
    "int64": "int64_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    "bool": "bool_val",
    "string": "string_val",
    "float16": "half_val",
    "bfloat16": "half_val",
}


def to_array(proto, name, max_bytes):
    """Reads a tensor that a client sent.

    A proto may claim a large shape and hold one value that fills it; what it would take in
    memory is checked before.

    Args:
        proto: A `TensorProto`.
        name: String, the input's name, for the message.
        max_bytes: Integer, the largest array.

    Returns:
        A NumPy array; strings are `bytes` in an array of objects.

    Raises:
        RequestError: If the proto is malformed or too large.
    """
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if proto.tensor_shape.unknown_rank or min(shape, default=0) < 0 or len(shape) > 32:
        raise RequestError(
            f"Input {name!r} must have a known shape of at most 32 dimensions. "
            f"Received: {'unknown rank' if proto.tensor_shape.unknown_rank else shape}. "
            "Build it with tf.make_tensor_proto."
        )
    try:
        itemsize = np.dtype(tf.as_dtype(proto.dtype).as_numpy_dtype).itemsize
        if math.prod(shape) * itemsize > max_bytes:
            raise RequestError(
                f"Input {name!r} must take at most {max_bytes:,} bytes. "
                f"Received: shape {shape}. Send fewer examples at a time."
            )
        return tf.make_ndarray(proto)
    except (TypeError, KeyError, AttributeError, IndexError, ValueError) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(
            f"Input {name!r} must be a well-formed TensorProto. Received: shape {shape}, "
            f"{str(error)[:200]}. Build it with tf.make_tensor_proto."
        ) from error


def to_proto(array):
    """Writes an array as TensorFlow Serving does, into the field of its type.

    Args:
        array: NumPy array; strings are `bytes` in an array of objects.

    Returns:
        A `TensorProto`.
    """
    dtype = tf.string if array.dtype == object else tf.as_dtype(array.dtype)
    proto = tensor_pb2.TensorProto(
        dtype=dtype.as_datatype_enum, tensor_shape=tf.TensorShape(array.shape).as_proto()
    )
    field = _FIELDS[dtype.name]
    values = array.view("uint16") if field == "half_val" else array
    getattr(proto, field).extend(values.ravel().tolist())
    return proto
