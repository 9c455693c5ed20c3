"""A client that hangs up is one line in the log."""

import logging
import socket
import struct
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

from rocmr_keras.serving import Admission

WHOLE = b'{"instances": ["ab"]}'


@pytest.fixture(scope="module")
def single(versions, run_server):
    with run_server(versions, admission=Admission(1)) as server:
        yield server


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def told(caplog):
    return [record for record in caplog.records if record.name != "tensorflow"]


@pytest.mark.parametrize("close", [reset, socket.socket.close])
@pytest.mark.parametrize("part", [b"", b'{"inst', WHOLE])
def test_rest(single, begin, occupy, wait_for, caplog, part, close):
    caplog.set_level(logging.INFO)
    with occupy(single):
        connection = begin(single.rest_api_port, part, len(WHOLE))
        if part:
            wait_for(lambda: single.admission.bodies.num_bytes == len(part))
        close(connection)
        if part == WHOLE:
            # Long enough to be heard of: the answer is not to come first.
            time.sleep(0.3)
        else:
            wait_for(lambda: told(caplog))
    wait_for(lambda: told(caplog))
    (record,) = told(caplog)
    assert record.getMessage() == "127.0.0.1 hung up before its answer" and not record.exc_info
    assert single.admission.bodies.num_bytes == 0


@pytest.mark.parametrize("junk", [b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nA" + b"a" * 10**5])
def test_no_http(single, caplog, junk):
    caplog.set_level(logging.INFO)
    with socket.create_connection(("127.0.0.1", single.rest_api_port), timeout=30) as connection:
        connection.sendall(junk)
        assert b" 400 " in connection.recv(100)
    (record,) = told(caplog)
    assert not record.exc_info and "\n" not in record.getMessage()


def test_rpc(single, occupy, wait_for, caplog):
    caplog.set_level(logging.INFO)
    message = predict_pb2.PredictRequest()
    message.model_spec.name = "toy"
    message.inputs["texts"].CopyFrom(tf.make_tensor_proto(np.array([b"ab"], object)))
    with grpc.insecure_channel(f"127.0.0.1:{single.port}") as channel, occupy(single):
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        call = stub.Predict.future(message)
        wait_for(lambda: single.admission.num_admitted == 1)
        call.cancel()
        wait_for(lambda: told(caplog))
    (record,) = told(caplog)
    assert "hung up, or was given up" in record.getMessage() and not record.exc_info
    assert single.admission.num_admitted == 0
