import base64
import json

import numpy as np
import pytest

from rocmr_keras.serving.json_tensors import read_predict
from rocmr_keras.serving.json_tensors import write_predict
from rocmr_keras.serving.request_error import RequestError

MIX = {"x": [[1, 2.5]], "half": 0.5, "flag": True, "count": [3]}


def read(servable, **request):
    return read_predict(json.dumps(request).encode(), servable.signature)


def test_columns(servable):
    name, inputs, is_row = read(servable, signature_name="mix", inputs=MIX)
    assert name == "mix" and not is_row
    assert inputs["x"].tolist() == [[1, 2.5]] and inputs["x"].dtype == "float32"
    assert inputs["half"].dtype == "float16" and inputs["half"].shape == ()
    assert inputs["flag"].dtype == bool and inputs["count"].dtype == "int64"


def test_rows(servable):
    _, inputs, is_row = read(servable, instances=["red", {"b64": "AP8="}])
    assert is_row and inputs["texts"].tolist() == [b"red", b"\x00\xff"]
    _, inputs, _ = read(servable, instances=[{"texts": "red"}, {"texts": {"b64": "AP8="}}])
    assert inputs["texts"].tolist() == [b"red", b"\x00\xff"]


def test_single_input_without_its_name(servable):
    assert read(servable, inputs=["red"])[1]["texts"].tolist() == [b"red"]
    assert read(servable, inputs=[])[1]["texts"].shape == (0,)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ([], "either 'instances'.*Received: a list"),
        ({"inputs": [], "instances": []}, "either 'instances'"),
        ({"signature_name": 3, "inputs": []}, "'signature_name' must be a string"),
        ({"instances": []}, "list of at least one"),
        ({"instances": "red"}, "Received: a string"),
        ({"instances": [{"texts": "red"}, "red"]}, "must all name the same inputs"),
        ({"instances": [{"b64": "?"}]}, "valid base64"),
        ({"instances": [{"b64": 3}]}, "valid base64"),
        ({"instances": [3]}, "JSON Value: 3 Type: a number is not of expected type: string"),
        ({"inputs": {"texts": ["red"], "k": 3}}, r"Sent extra: \['k'\]"),
        ({"inputs": {}}, r"Missing but required: \['texts'\]"),
        ({"signature_name": "mix", "inputs": [1]}, "signature of one input.*count: int64"),
        ({"signature_name": "mix", "inputs": {**MIX, "x": [[1], [2, 3]]}}, "rectangular"),
        ({"signature_name": "mix", "inputs": {**MIX, "x": [[1, None]]}}, "null .* float32"),
        ({"signature_name": "mix", "inputs": {**MIX, "x": [["1", 2]]}}, 'JSON Value: "1"'),
        ({"signature_name": "mix", "inputs": {**MIX, "count": [1.5]}}, "JSON Value: 1.5.*int64"),
        ({"signature_name": "mix", "inputs": {**MIX, "count": [True]}}, "a bool .* int64"),
        ({"signature_name": "mix", "inputs": {**MIX, "count": [2**70]}}, "out of its range"),
        ({"signature_name": "mix", "inputs": {**MIX, "flag": 1}}, "JSON Value: 1 .* bool"),
    ],
)
def test_request_that_does_not_fit(servable, request_, message):
    with pytest.raises(RequestError, match=message) as caught:
        read_predict(json.dumps(request_).encode(), servable.signature)
    assert caught.value.http_status == 400


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"1" * 10_000])
def test_garbage(servable, body):
    with pytest.raises(RequestError, match="JSON"):
        read_predict(body, servable.signature)


def test_answers():
    one = {"y": np.array([[1.5], [2.0]], "float32")}
    two = {"a": np.array([1, 2]), "b_bytes": np.array([b"\xff", b"x"], object)}
    assert json.loads(write_predict(one, is_row=True)) == {"predictions": [[1.5], [2.0]]}
    assert json.loads(write_predict(one, is_row=False)) == {"outputs": [[1.5], [2.0]]}
    assert json.loads(write_predict(two, is_row=True)) == {
        "predictions": [
            {"a": 1, "b_bytes": {"b64": base64.b64encode(b"\xff").decode()}},
            {"a": 2, "b_bytes": {"b64": base64.b64encode(b"x").decode()}},
        ]
    }
    assert json.loads(write_predict(two, is_row=False))["outputs"]["a"] == [1, 2]


def test_text_that_is_no_utf_8_is_encoded():
    answer = write_predict({"names": np.array([b"ok", b"\xff"], object)}, is_row=False)
    assert json.loads(answer) == {"outputs": ["ok", {"b64": "/w=="}]}


def test_rows_of_different_batch_sizes():
    outputs = {"a": np.zeros(2), "b": np.zeros(3)}
    with pytest.raises(RequestError, match=r"one batch size. Received: \{'a': 2, 'b': 3\}"):
        write_predict(outputs, is_row=True)
    with pytest.raises(RequestError, match="one batch size"):
        write_predict({"a": np.zeros(())}, is_row=True)
