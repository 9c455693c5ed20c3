import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from rocmr_keras.data import Split
from rocmr_keras.data import pack

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.skipif(keras.config.backend() == "tensorflow", reason="TensorFlow computes here")
def test_a_pack_is_trained_and_evaluated_on_where_there_is_no_tensorflow(preprocessor, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 6, 5, 3), dtype="uint8")
    pack(Split(pixels, range(8), ["red square"] * 8, range(8)), preprocessor, tmp_path / "pack")
    script = pathlib.Path(__file__).with_name("without_tensorflow.py")
    config = json.dumps(preprocessor.get_config())
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "pack"), config],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert "trained and attacked; loaded []" in process.stdout
