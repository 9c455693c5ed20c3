"""A server that is told to stop answers what it has begun."""

import base64
import concurrent.futures
import contextlib
import json
import socket
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2
from grpc_health.v1 import health_pb2_grpc
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

from rocmr_keras.serving import Admission

PATH = "/v1/models/toy:predict"
WHOLE = b'{"instances": ["ab"]}'
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def predict(channel):
    message = predict_pb2.PredictRequest()
    message.model_spec.name = "toy"
    message.inputs["texts"].CopyFrom(tf.make_tensor_proto(np.array([b"ab"], object)))
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    return stub.Predict.future(message, timeout=60)


@pytest.fixture
def single(versions, run_server):
    with run_server(versions, admission=Admission(1)) as server:
        yield server


def test_what_is_at_work_is_answered(single, occupy, begin, stop_server, wait_for):
    with contextlib.ExitStack() as stack:
        channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{single.port}"))
        idle = stack.enter_context(socket.create_connection(("127.0.0.1", single.rest_api_port)))
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == SERVING
        with occupy(single):
            calls = [predict(channel) for _ in range(4)]
            whole = [begin(single.rest_api_port, WHOLE, len(WHOLE)) for _ in range(4)]
            halves = [begin(single.rest_api_port, WHOLE[:9], len(WHOLE)) for _ in range(4)]
            sockets = [stack.enter_context(each) for each in whole + halves]
            wait_for(lambda: single.admission.num_admitted == 8)
            wait_for(lambda: single.admission.bodies.num_bytes == 4 * len(WHOLE) + 4 * 9)
            stop_server(single)
            assert [answer.status for answer in watch] == [NOT_SERVING]
            # Idle ones end while others are still at work.
            assert idle.recv(100) == b""
            with pytest.raises(ConnectionRefusedError):
                begin(single.rest_api_port)
            for connection in halves:
                connection.sendall(WHOLE[9:])
            wait_for(lambda: single.admission.num_admitted == 12)
        for connection in sockets:
            answer = connection.recv(10_000)
            assert b" 200 " in answer and b"\r\nConnection: close\r\n" in answer
            assert connection.recv(100) == b""
        for call in calls:
            assert tf.make_ndarray(call.result().outputs["embeddings"]).tolist() == [[2, 1]]
        wait_for(lambda: hasattr(single, "is_done"))
        assert single.is_done


def test_connections_that_are_kept_under_load(single, begin, stop_server):
    """Clients that ask again and again see no request lost, whatever its protocol."""

    def ask():
        answers, head = 0, f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\n".encode()
        head += f"Content-Length: {len(WHOLE)}\r\n\r\n".encode()
        with begin(single.rest_api_port, WHOLE, len(WHOLE)) as connection:
            while True:
                answer = connection.recv(10_000)
                assert b" 200 " in answer
                answers += 1
                if b"\r\nConnection: close\r\n" in answer:
                    return answers
                connection.sendall(head + WHOLE)

    def call():
        answers = 0
        # Calls of one process would share a connection, and wait for each other.
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        with grpc.insecure_channel(f"127.0.0.1:{single.port}", options) as channel:
            while (error := predict(channel).exception()) is None:
                answers += 1
        # Not `CANCELLED`, after which nobody knows whether it was run.
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        return answers

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(function) for function in (ask, call) for _ in range(4)]
        time.sleep(0.5)
        stop_server(single)
        assert min(future.result() for future in futures) >= 1


def test_grace_ends(versions, run_server, occupy, begin, stop_server, wait_for):
    with run_server(versions, grace_seconds=0.5, admission=Admission(1)) as server:
        with occupy(server), grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            call = predict(channel)
            with (
                begin(server.rest_api_port, WHOLE, len(WHOLE)),
                begin(server.rest_api_port, b"{", 100),
            ):
                wait_for(lambda: server.admission.num_admitted == 2)
                start = time.monotonic()
                stop_server(server)
                wait_for(lambda: hasattr(server, "is_done"))
                assert time.monotonic() - start < 5 and not server.is_done
            assert call.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def test_a_large_answer_is_sent_to_its_end(single, begin, stop_server):
    """To a client that reads it late, so that most of it waits in the server."""
    data = base64.b64encode(bytes(2**23)).decode()
    body = json.dumps({"signature_name": "echo", "inputs": {"data": [{"b64": data}]}}).encode()
    with begin(single.rest_api_port, body, len(body)) as connection:
        head = connection.recv(1_000)
        stop_server(single)
        time.sleep(0.7)
        assert not hasattr(single, "is_done")
        answer = b"".join([head, *iter(lambda: connection.recv(2**20), b"")])
    assert b" 200 " in answer and data.encode() in answer


def test_connections_that_come_while_it_stops(versions, run_server, begin, stop_server):
    """Each is answered, refused or reset, and none is left open when the server has stopped."""

    def ask():
        with contextlib.suppress(ConnectionError):
            while True:
                with begin(server.rest_api_port, WHOLE, len(WHOLE)) as connection:
                    connection.recv(10_000)

    for _ in range(3):
        with run_server(versions) as server, concurrent.futures.ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(ask) for _ in range(4)]
            time.sleep(0.05)
            stop_server(server)
            for future in futures:
                future.result()
