import gzip
import json
import socket

import pytest

PREDICT = "/v1/models/toy:predict"


def test_status(ask):
    entry = {"version": "3", "state": "AVAILABLE"}
    entry["status"] = {"error_code": "OK", "error_message": ""}
    expected = (200, {"model_version_status": [entry]})
    assert ask("GET", "/v1/models/toy") == expected
    assert ask("GET", "/v1/models/toy/versions/3") == expected


def test_metadata(ask):
    status, answer = ask("GET", "/v1/models/toy/metadata")
    assert status == 200
    assert answer["model_spec"]["name"] == "toy" and answer["model_spec"]["version"] == "3"
    signature = answer["metadata"]["signature_def"]["signature_def"]["search_by_text"]
    texts = signature["inputs"]["texts"]
    assert texts["dtype"] == "DT_STRING"
    shape = {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
    assert texts["tensor_shape"] == shape
    assert signature["method_name"] == "tensorflow/serving/predict"


def test_columnar_format(ask):
    body = {"signature_name": "search_by_text", "inputs": {"texts": ["ab"], "k": 2}}
    names = [["red.png", "green.png"]]
    outputs = {"ids": [[7, 8]], "names": names, "scores": [[-2.0, -3.0]]}
    assert ask("POST", PREDICT, body) == (200, {"outputs": outputs})
    assert ask("POST", "/v1/models/toy/versions/3:predict", body)[0] == 200


def test_row_format(ask):
    assert ask("POST", PREDICT, {"instances": ["ab", {"b64": "AP8A"}]}) == (
        200,
        {"predictions": [[2.0, 1.0], [3.0, 1.0]]},
    )


def test_bytes(ask):
    body = {"signature_name": "echo", "inputs": {"data": [{"b64": "AP8="}]}}
    assert ask("POST", PREDICT, body) == (200, {"outputs": [{"b64": "AP8="}]})


def test_compressed_body(ask):
    body = gzip.compress(json.dumps({"instances": ["ab"]}).encode())
    status, answer = ask("POST", PREDICT, body, {"Content-Encoding": "gzip"})
    assert (status, answer) == (200, {"predictions": [[2.0, 1.0]]})


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", PREDICT, b"{", 400, "JSON Parse error"),
        ("POST", PREDICT, b"", 400, "JSON Parse error"),
        ("POST", PREDICT, {"instances": [{"b64": "!"}]}, 400, "base64"),
        ("POST", PREDICT, {"instances": [[["a"]]]}, 400, "Received: string[1, 1, 1]"),
        ("POST", PREDICT, {"signature_name": "sing", "inputs": []}, 400, '"sing" not found'),
        ("POST", PREDICT, {"inputs": {"words": ["a"]}}, 400, "Missing but required: ['texts']"),
        ("POST", "/v1/models/other:predict", {"instances": ["a"]}, 404, "Latest(other)"),
        ("POST", "/v1/models/toy/versions/9:predict", {"instances": ["a"]}, 404, "(toy, 9)"),
        ("POST", "/v1/models/toy/labels/new:predict", {"instances": ["a"]}, 400, "label: new"),
        ("POST", "/v1/models/toy:classify", {"examples": []}, 501, "':predict'"),
        ("GET", PREDICT, None, 400, "Malformed request: GET /v1/models/toy:predict"),
        ("GET", "/v1/models/other", None, 404, "Could not find any versions of model other"),
        ("GET", "/v1/models/toy/versions/9", None, 404, "Could not find version 9"),
        ("GET", "/v1/models/toy/versions/" + "9" * 5000, None, 400, "Malformed request"),
        ("DELETE", "/v1/models/toy", None, 400, "Malformed request"),
        ("GET", "/v1/../../etc/passwd", None, 400, "Malformed request"),
        ("GET", "/elsewhere", None, 404, "Not Found"),
        ("POST", PREDICT, b"a" * (2**20 + 1), 413, "at most 1,048,576 bytes"),
    ],
)
def test_bad_requests(ask, method, path, body, status, message):
    received, answer = ask(method, path, body)
    assert received == status
    assert list(answer) == ["error"] and message in answer["error"]
    assert ask("POST", PREDICT, {"instances": ["ab"]})[0] == 200


def test_compressed_bomb(ask):
    body = gzip.compress(b"a" * 2**26)
    assert ask("POST", PREDICT, body, {"Content-Encoding": "gzip"})[0] in (400, 413)


@pytest.mark.parametrize(
    "junk", [b"\x00\xff" * 500, b"GET / HTTP/9.9\r\n\r\n", b"POST /v1 HTTP/1.1\r\nA" + b"a" * 10**5]
)
def test_no_http(ask, server, junk):
    with socket.create_connection(("127.0.0.1", server.rest_api_port), timeout=30) as connection:
        connection.sendall(junk)
        connection.shutdown(socket.SHUT_WR)
        try:
            answer = connection.recv(100)
        except ConnectionResetError:
            answer = b""
    assert not answer or answer.startswith(b"HTTP/1.") and b" 4" in answer[:13]
    assert ask("GET", "/v1/models/toy")[0] == 200
