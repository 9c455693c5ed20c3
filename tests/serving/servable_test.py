import numpy as np
import pytest

from rocmr_keras.serving import RequestError
from rocmr_keras.serving import Servable


def texts(*values):
    return np.array([value.encode() for value in values], object)


def mixed(**changes):
    inputs = {
        "x": np.array([[1.0, 2.0], [3.0, 4.0]], "float32"),
        "half": np.array(0.5, "float16"),
        "flag": np.array(True),
        "count": np.array([3, 4]),
    }
    return {**inputs, **changes}


def test_runs_a_signature(servable):
    outputs = servable.run("search_by_text", {"texts": texts("ab", ""), "k": np.int32(2)})
    assert outputs["ids"].tolist() == [[7, 8], [7, 8]]
    assert outputs["scores"].tolist() == [[-2, -3], [0, -1]]
    assert outputs["names"].tolist() == [[b"red.png", b"green.png"]] * 2
    found = servable.run("", {"texts": texts("ab")})
    assert found["embeddings"].tolist() == [[2, 1]]


def test_batch_of_nothing(servable):
    assert servable.run("embed_texts", {"texts": texts()})["embeddings"].shape == (0, 2)


def test_scalars_and_types(servable):
    outputs = servable.run("mix", mixed())
    assert outputs["total"] == 10.5 and outputs["half"].dtype == "float16"
    assert outputs["twice"].tolist() == [6, 8] and outputs["flag"].dtype == bool
    assert list(servable.run("mix", mixed(), ["twice"])) == ["twice"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x": np.zeros((1, 2))}, r"'x' must be float32\[\?, 2\].*Received: float64\[1, 2\]"),
        ({"x": np.zeros((2,), "float32")}, r"Received: float32\[2\]"),
        ({"x": np.zeros((1, 3), "float32")}, r"Received: float32\[1, 3\]"),
        ({"flag": texts("yes")}, r"'flag' must be bool\[\].*Received: string\[1\]"),
        ({"more": np.zeros(1)}, r"Sent extra: \['more'\].*takes count: int64\[\?\], flag: bool"),
    ],
)
def test_input_that_does_not_fit(servable, inputs, message):
    with pytest.raises(RequestError, match=message) as caught:
        servable.run("mix", mixed(**inputs))
    assert caught.value.code == "INVALID_ARGUMENT" and caught.value.http_status == 400


def test_missing_input(servable):
    with pytest.raises(RequestError, match=r"Missing but required: \['k'\]"):
        servable.run("search_by_text", {"texts": texts("a")})


def test_unknown_names(servable):
    with pytest.raises(RequestError, match='"sing" not found.*embed_texts'):
        servable.run("sing", {})
    with pytest.raises(RequestError, match="alias not found in signature: sum"):
        servable.run("mix", mixed(), ["sum"])


def test_what_the_model_refuses_is_told_without_its_graph(servable):
    with pytest.raises(RequestError, match="k must be 1 or more") as caught:
        servable.run("search_by_text", {"texts": texts("a"), "k": np.int32(0)})
    assert caught.value.code == "INVALID_ARGUMENT"
    assert "node" not in caught.value.message and "\n" not in caught.value.message


def test_no_saved_model(tmp_path):
    with pytest.raises(OSError, match="saved_model.pb"):
        Servable(tmp_path, 1)
