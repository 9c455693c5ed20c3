"""Reads the arrays of a PyTorch file without PyTorch, and nothing but arrays."""

import collections
import pickle

import numpy as np

_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ByteStorage": "<u1",
}
_Tensor = collections.namedtuple("_Tensor", "storage offset shape strides grad hooks")


class _Unpickler(pickle.Unpickler):
    """Knows tensors, their storages and ordered dicts: no name of a file is called."""

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, identity):
        _, dtype, key, *_ = identity
        return key, dtype


def read_state_dict(path):
    """Reads a state dict that `torch.save` wrote in its format before version 1.6.

    A pickle may run any code when it is read. Here it can name tensors only; anything
    else is refused.

    Args:
        path: Path of the file.

    Returns:
        Dict from names to NumPy arrays.

    Raises:
        ValueError: If it is no such file, or holds anything but arrays.
    """
    try:
        with open(path, "rb") as file:
            return _read(file)
    except (pickle.UnpicklingError, EOFError, AttributeError, TypeError) as error:
        raise ValueError(
            "`path` must be a PyTorch file of a state dict in the format before version 1.6. "
            f"Received: path={str(path)!r}: {error}. Save it again by torch.save(state_dict, "
            "path, _use_new_zipfile_serialization=False)."
        ) from error


def _read(file):
    if _Unpickler(file).load() != _MAGIC:
        raise pickle.UnpicklingError("not written by PyTorch")
    _Unpickler(file).load()  # The version of the protocol,
    _Unpickler(file).load()  # and sizes of integers of the machine that wrote it.
    tensors = _Unpickler(file).load()
    dtypes = dict(tensor.storage for tensor in tensors.values())
    storages = {}
    for key in _Unpickler(file).load():
        count = int.from_bytes(file.read(8), "little")
        dtype = np.dtype(dtypes[key])
        storages[key] = np.frombuffer(file.read(count * dtype.itemsize), dtype)
    return {name: _array(tensor, storages) for name, tensor in tensors.items()}


def _array(tensor, storages):
    flat = storages[tensor.storage[0]][tensor.offset :]
    steps = zip(tensor.shape, tensor.strides)
    last = sum((size - 1) * stride for size, stride in steps)
    if min(tensor.strides, default=0) < 0 or not (0 in tensor.shape or last < len(flat)):
        raise pickle.UnpicklingError("a tensor reaches beyond its storage")
    strides = [stride * flat.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(flat, tensor.shape, strides, writeable=False)
