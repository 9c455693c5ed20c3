import keras
import pytest

from rocmr_keras.export import tensorflow_process


def test_error_of_the_other_process_is_shown(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)exit status 1.*No such file.*settings.json"):
        tensorflow_process.run(tmp_path)


def test_classes_of_no_module_are_passed_over():
    code = "class Nowhere(keras.layers.Layer):\n    pass\n"
    register = "@keras.saving.register_keras_serializable('nowhere')\n"
    exec(register + code, {"keras": keras})
    try:
        found = tensorflow_process._modules()
    finally:
        del keras.saving.get_custom_objects()["nowhere>Nowhere"]
    assert all(isinstance(name, str) and not name.startswith("keras.") for name in found)
