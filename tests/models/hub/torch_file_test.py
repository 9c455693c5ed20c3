import pickle

import numpy as np
import pytest

from rocmr_keras.models.hub.torch_file import read_state_dict

MAGIC = 0x1950A86A20F9469CFC6C


class Call:
    """Pickles as the call of a function that is named, not imported."""

    def __init__(self, name, *arguments):
        self.name = name
        self.arguments = arguments


class _Pickler(pickle._Pickler):
    """Writes names of modules that need not be installed."""

    def persistent_id(self, thing):
        return thing.arguments if isinstance(thing, Call) and thing.name is None else None

    def save(self, thing, save_persistent_id=True):
        if isinstance(thing, Call) and thing.name is not None:
            self.write(b"c" + thing.name.replace(" ", "\n").encode() + b"\n")
            if thing.arguments:
                super().save(thing.arguments)
                self.write(pickle.REDUCE)
            return
        super().save(thing, save_persistent_id)


def write(path, state, storages):
    with open(path, "wb") as file:
        for thing in (MAGIC, 1001, {"little_endian": True}, state, list(storages)):
            _Pickler(file, protocol=2).dump(thing)
        for values in storages.values():
            file.write(len(values).to_bytes(8, "little") + values.tobytes())
    return path


def tensor(key, kind, offset, shape, strides, count):
    storage = Call(None, "storage", Call(f"torch {kind}"), key, "cpu", count, None)
    return Call("torch._utils _rebuild_tensor_v2", storage, offset, shape, strides, False, {})


def test_arrays_views_and_types(tmp_path):
    floats = np.arange(8, dtype="float32")
    state = {
        "rows": tensor("1", "FloatStorage", 2, (2, 3), (3, 1), 8),
        "transposed": tensor("1", "FloatStorage", 2, (3, 2), (1, 3), 8),
        "count": tensor("2", "LongStorage", 0, (), (), 1),
    }
    path = write(tmp_path / "a.pth", state, {"1": floats, "2": np.array([7], "int64")})
    found = read_state_dict(path)
    np.testing.assert_array_equal(found["rows"], floats[2:].reshape(2, 3))
    np.testing.assert_array_equal(found["transposed"], floats[2:].reshape(2, 3).T)
    assert found["count"] == 7 and found["count"].dtype == np.int64


def test_nothing_but_tensors(tmp_path):
    write(tmp_path / "a.pth", {"a": Call("os system", "true")}, {})
    with pytest.raises(ValueError, match="Received: path=.*a.pth.*it names os.system"):
        read_state_dict(tmp_path / "a.pth")


def test_other_files(tmp_path):
    state = {"a": tensor("1", "FloatStorage", 0, (9,), (1,), 8)}
    path = write(tmp_path / "a.pth", state, {"1": np.zeros(8, "float32")})
    with pytest.raises(ValueError, match="reaches beyond its storage"):
        read_state_dict(path)
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match="format before version 1.6"):
        read_state_dict(path)
