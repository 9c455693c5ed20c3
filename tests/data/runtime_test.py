import ast
import pathlib
import sys

import pytest

import rocmr_keras.data
from rocmr_keras.data.runtime import tensorflow

ROOM = pathlib.Path(rocmr_keras.data.__file__).parent
MODULES = sorted(ROOM.rglob("*.py"))


def test_is_tensorflow():
    assert tensorflow() is sys.modules["tensorflow"]
    assert tensorflow() is tensorflow()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOM)))
def test_import_of_the_room_is_light(path):
    heavy = {"tensorflow", "tensorflow_text", "keras_hub", "emoji", "resvg_py", "grain"}
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Import):
            assert not heavy & {alias.name.partition(".")[0] for alias in statement.names}
        if isinstance(statement, ast.ImportFrom):
            assert statement.module.partition(".")[0] not in heavy
