import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.backend import in_chunks


def runners():
    """Ways to run a function of tensors, by name."""
    if keras.config.backend() == "jax":
        import jax

        return {"eager": lambda function: function, "compiled": jax.jit}
    if keras.config.backend() == "torch":
        return {"eager": lambda function: function}
    import tensorflow as tf

    from rocmr_keras.backend.tensorflow_chunks import rows_in_place

    any_length = {"input_signature": [{"rows": tf.TensorSpec((None, 2))}]}

    def in_place(function):
        with rows_in_place(True):
            return function()

    def graph(function, **options):
        return tf.function(lambda batch: in_place(lambda: function(batch)), **options)

    return {
        "eager": lambda function: function,
        "graph": graph,
        "graph of any length": lambda function: graph(function, **any_length),
        "XLA": lambda function: tf.function(function, jit_compile=True),
    }


@pytest.mark.parametrize("total", [8, 6, 2])
@pytest.mark.parametrize("name", runners())
def test_rows_of_every_kind_are_in_their_places(name, total):
    def work(batch):
        rows = batch["rows"]
        return {
            "floats": 2.0 * rows,
            "integers": ops.cast(rows[:, 0], "int32"),
            "booleans": rows > 5.0,
        }

    rows = np.arange(2.0 * total, dtype="float32").reshape(total, 2)
    run = runners()[name](lambda batch: in_chunks(work, batch, 3))
    # A second time: nothing of the first is left.
    for shift in (0.0, 1.0):
        batch = {"rows": ops.convert_to_tensor(rows + shift)}
        found, expected = run(batch), work(batch)
        for key, value in expected.items():
            np.testing.assert_array_equal(
                ops.convert_to_numpy(found[key]), ops.convert_to_numpy(value), err_msg=key
            )
