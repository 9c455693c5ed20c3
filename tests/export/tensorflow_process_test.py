import pytest

from rocmr_keras.export.tensorflow_process import run


def test_error_of_the_other_process_is_shown(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)exit status 1.*No such file.*settings.json"):
        run(tmp_path)
