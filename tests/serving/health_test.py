"""What machines ask a server."""

import asyncio
import http.client
import logging
import re

import grpc
import pytest
from aiohttp import test_utils
from aiohttp import web
from grpc_health.v1 import health_pb2
from grpc_health.v1 import health_pb2_grpc

from rocmr_keras.serving import Admission
from rocmr_keras.serving.health import SERVICES
from rocmr_keras.serving.health import Health
from rocmr_keras.serving.telemetry import Telemetry
from rocmr_keras.serving.telemetry import access_log


@pytest.fixture
def alone(versions, run_server):
    """A server of its own, whose counts begin at zero."""
    with run_server(versions) as server:
        yield server


def get(server, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_api_port, timeout=30)
    connection.request("POST" if body else "GET", path, body)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


def test_alive_and_ready(ask):
    assert ask("GET", "/healthz") == (200, {"status": "alive"})
    assert ask("GET", "/readyz") == (200, {"status": "ready", "models": {"toy": [3]}})


def test_not_ready(versions):
    """While draining, and with no version; alive nevertheless."""

    class Nothing:
        name = "toy"

        def available(self):
            return []

    async def ask(versions, is_draining):
        health, app = Health(versions, Telemetry(versions, Admission())), web.Application()
        health.add_to(app)
        async with test_utils.TestClient(test_utils.TestServer(app)) as client:
            if is_draining:
                await health.drain()
            ready, alive = await client.get("/readyz"), await client.get("/healthz")
            return ready.status, (await ready.json())["status"], alive.status

    assert asyncio.run(ask(versions, False)) == (200, "ready", 200)
    assert asyncio.run(ask(versions, True)) == (503, "draining", 200)
    assert asyncio.run(ask(Nothing(), False)) == (503, "no version", 200)


def test_health_of_each_service(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in SERVICES:
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=30)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(service="other"), timeout=30)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_metrics(alone):
    predict = "/v1/models/toy:predict"
    assert get(alone, predict, '{"instances": ["a", "b", "c"]}')[0] == 200
    assert get(alone, predict, '{"instances": [1]}')[0] == 400
    for path in ("/v1/models/toy", "/no/such/path", "/another"):
        get(alone, path)
    status, text = get(alone, "/metrics")
    assert status == 200
    for line in (
        'rocmr_requests_total{code="200",protocol="rest",route="predict"} 1.0',
        'rocmr_requests_total{code="400",protocol="rest",route="predict"} 1.0',
        'rocmr_requests_total{code="200",protocol="rest",route="status"} 1.0',
        'rocmr_requests_total{code="404",protocol="rest",route="none"} 2.0',
        'rocmr_request_seconds_count{protocol="rest",route="predict"} 2.0',
        'rocmr_batch_size_sum{signature="serving_default"} 3.0',
        'rocmr_batch_size_bucket{le="2.0",signature="serving_default"} 0.0',
        "rocmr_waiting 0.0",
        "rocmr_body_bytes 0.0",
        'rocmr_served_version{model="toy",version="3"} 1.0',
    ):
        assert line in text.splitlines()


def test_access_log(alone, caplog):
    get(alone, "/v1/models/toy")
    assert not caplog.records
    with caplog.at_level(logging.INFO, logger=access_log.name):
        get(alone, "/v1/models/toy")
        get(alone, "/a%0Ab")
    first, second = [record.getMessage() for record in caplog.records]
    pattern = r"20\d\d-\d\d-\d\dT[\d:]{8}\.\d{3}\+00:00 127\.0\.0\.1 rest status 200 \d+\.\d ms"
    assert re.fullmatch(pattern, first) and " rest none 404 " in second and "\n" not in second
