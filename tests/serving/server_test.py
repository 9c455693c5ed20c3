import asyncio
import concurrent.futures
import http.client
import importlib
import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

from rocmr_keras.serving import RequestError
from rocmr_keras.serving import Server
from rocmr_keras.serving.admission import Admission

ROOT = pathlib.Path(__file__).parents[2]


def predict(port, texts, path="/v1/models/toy:predict"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", path, json.dumps({"instances": texts}))
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


def test_many_clients_get_their_own_answers(server):
    texts = ["a" * length for length in range(200)]
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda text: predict(server.rest_api_port, [text]), texts))
    assert answers == [(200, {"predictions": [[length, 1.0]]}) for length in range(200)]
    assert server.admission.num_admitted == 0


def test_line_that_is_too_long():
    async def fill():
        admission = Admission(num_threads=1, max_waiting=1)
        with admission.place():
            with pytest.raises(RequestError, match="1 requests waiting") as caught:
                with admission.place():
                    pass
        assert caught.value.code == "UNAVAILABLE"
        with admission.place():
            assert await admission.run(np.add, 1, 2) == 3
        admission.close()

    asyncio.run(fill())
    with pytest.raises(ValueError, match="`num_threads` must be at least 1.*num_threads=0"):
        Admission(num_threads=0)


def test_port_that_is_taken(server, versions):
    async def start():
        await Server(versions, port=server.port, rest_api_port=0).start()

    with pytest.raises(OSError, match=f"Port {server.port} of 127.0.0.1 cannot be bound"):
        asyncio.run(start())


@pytest.mark.parametrize("name", ["aiohttp", "prometheus_client", "grpc"])
def test_package_that_is_missing(monkeypatch, name):
    for loaded in [module for module in sys.modules if module.startswith("rocmr_keras.serving")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=f"extra `serve`. Received: no module '{name}'. Run"):
        importlib.import_module("rocmr_keras.serving")


def test_recipe_serves_until_sigterm(base_path, begin):
    command = [sys.executable, str(ROOT / "recipes" / "serve.py"), f"--model_base_path={base_path}"]
    command += ["--model_name=toy", "--port=0", "--rest_api_port=0", "--threads=1", "--noverify"]
    command += ["--grace_seconds=20", "--access_log"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=dict(os.environ)
    )
    try:
        lines = iter(process.stderr.readline, "")
        port = next(int(line.rsplit(":", 1)[1]) for line in lines if "REST on http" in line)
        assert predict(port, ["ab"]) == (200, {"predictions": [[2.0, 1.0]]})
        assert any(" 127.0.0.1 rest predict 200 " in line for line in lines)
        halves = [begin(port, b'{"instances"', 21) for _ in range(8)]
        # On its way, not only sent.
        assert predict(port, ["ab"])[0] == 200
        process.send_signal(signal.SIGTERM)
        assert any(
            "Stopping: answering what is at work, for at most 20 s" in line for line in lines
        )
        for connection in halves:
            connection.sendall(b': ["ab"]}')
            assert b" 200 " in connection.recv(10_000)
            connection.close()
        assert process.wait(15) == 0
        assert "Stopped: all answered" in list(lines)[-1]
    finally:
        process.kill()
        process.stderr.close()
        process.wait()
