"""A SavedModel whose answers can be told by hand, and a server of it on ports of its own."""

import asyncio
import contextlib
import http.client
import importlib.util
import io
import json
import socket
import threading
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from rocmr_keras.data import Preprocessor
from rocmr_keras.models import DualEncoder
from rocmr_keras.models import TextEncoder

MISSING = [
    name
    for name in ("aiohttp", "grpc", "grpc_health", "prometheus_client", "tensorflow_serving")
    if importlib.util.find_spec(name) is None
]
if not MISSING:
    from rocmr_keras.serving import Admission
    from rocmr_keras.serving import AttackLab
    from rocmr_keras.serving import Bodies
    from rocmr_keras.serving import ModelVersions
    from rocmr_keras.serving import Server


def pytest_collect_file(file_path):
    if MISSING:
        pytest.skip(f"serving needs the extra `serve`: no {MISSING}", allow_module_level=True)


STRINGS = tf.TensorSpec([None], "string")
NAMES = ["red.png", "green.png", "blue.png"]
COLORS = {"red": (200, 90, 90), "green": (90, 200, 90), "blue": (90, 90, 200)}


class Toy(tf.Module):
    """Embeds a text as its length and `scale`; an item's score is its place minus the length."""

    def __init__(self, scale):
        super().__init__()
        self.scale = tf.Variable(scale)

    def embed(self, texts):
        lengths = tf.cast(tf.strings.length(texts), "float32")
        return {"embeddings": tf.stack([lengths, self.scale * tf.ones_like(lengths)], 1)}

    def search(self, texts, k):
        tf.debugging.assert_positive(k, "k must be 1 or more")
        k = tf.minimum(k, 3)
        rows = tf.tile(tf.range(3)[None, :k], [tf.shape(texts)[0], 1])
        lengths = tf.cast(tf.strings.length(texts), "float32")
        scores = -tf.cast(rows, "float32") - lengths[:, None]
        names = tf.gather(tf.constant(NAMES), rows)
        return {"ids": tf.cast(rows, "int64") + 7, "scores": scores, "names": names}

    def search_by_image(self, images, k):
        return self.search(images, k)

    def mix(self, x, half, flag, count):
        total = tf.reduce_sum(x) + tf.cast(half, "float32")
        return {"total": tf.where(flag, total, 0.0), "half": half, "twice": 2 * count, "flag": flag}

    def echo(self, data):
        return {"data_bytes": data}


def write(path, scale=1.0):
    toy = Toy(scale)
    k = tf.TensorSpec([], "int32")
    specs = {
        "serving_default": (toy.embed, {"texts": STRINGS}),
        "embed_texts": (toy.embed, {"texts": STRINGS}),
        "search_by_text": (toy.search, {"texts": STRINGS, "k": k}),
        "search_by_image": (toy.search_by_image, {"images": STRINGS, "k": k}),
        "echo": (toy.echo, {"data": STRINGS}),
        "mix": (
            toy.mix,
            {
                "x": tf.TensorSpec([None, 2], "float32"),
                "half": tf.TensorSpec([], "float16"),
                "flag": tf.TensorSpec([], "bool"),
                "count": tf.TensorSpec([None], "int64"),
            },
        ),
    }
    traced = {
        name: tf.function(function).get_concrete_function(**inputs)
        for name, (function, inputs) in specs.items()
    }
    tf.saved_model.save(toy, str(path), signatures=traced)
    return path


@contextlib.contextmanager
def running(versions, grace_seconds=10.0, **settings):
    """Runs a server in a thread, on ports that are free."""
    server = Server(versions, port=0, rest_api_port=0, **settings)
    started = threading.Event()

    async def serve():
        await server.start()
        server.loop = asyncio.get_running_loop()
        server.stopped = asyncio.Event()
        started.set()
        await server.stopped.wait()
        server.is_done = await server.stop(grace_seconds)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert started.wait(30)
        yield server
    finally:
        if thread.is_alive() and not server.stopped.is_set():
            finish(server)
        thread.join()


def finish(server):
    server.loop.call_soon_threadsafe(server.stopped.set)


@contextlib.contextmanager
def occupied(server):
    """Keeps the only thread of a server busy until the block ends."""
    free = threading.Event()
    asyncio.run_coroutine_threadsafe(server.admission.run(free.wait), server.loop)
    try:
        yield free
    finally:
        free.set()


@pytest.fixture(scope="session")
def stop_server():
    return finish


@pytest.fixture(scope="session")
def occupy():
    return occupied


@pytest.fixture(scope="session")
def wait_for():
    """Waits until a function returns what counts as true."""

    def wait(condition, seconds=30):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it never came"
            time.sleep(0.01)

    return wait


@pytest.fixture(scope="session")
def begin():
    """Opens a connection and sends the head of a predict request, and a part of its body."""

    def begin(port, part=b"", length=100):
        connection = socket.create_connection(("127.0.0.1", port), timeout=30)
        head = "POST /v1/models/toy:predict HTTP/1.1\r\nHost: localhost\r\n"
        head += f"Content-Length: {length}\r\n\r\n"
        try:
            connection.sendall(head.encode() + part)
        except ConnectionError:
            connection.close()
            raise
        return connection

    return begin


@pytest.fixture(scope="session")
def write_toy():
    return write


@pytest.fixture(scope="session")
def base_path(tmp_path_factory):
    base = tmp_path_factory.mktemp("toy")
    write(base / "3")
    return base


@pytest.fixture(scope="session")
def versions(base_path):
    return ModelVersions("toy", base_path)


@pytest.fixture(scope="session")
def servable(versions):
    return versions.get("toy")


@pytest.fixture(scope="session")
def run_server():
    return running


@pytest.fixture(scope="session")
def server(versions):
    with running(versions, admission=Admission(bodies=Bodies(2**20))) as server:
        yield server


@pytest.fixture
def ask(server):
    """Sends one HTTP request; returns status and what the JSON says."""

    def send(method, path, body=None, headers=()):
        connection = http.client.HTTPConnection("127.0.0.1", server.rest_api_port, timeout=30)
        content = body if body is None or isinstance(body, bytes) else json.dumps(body)
        connection.request(method, path, content, dict(headers))
        response = connection.getresponse()
        text = response.read()
        connection.close()
        return response.status, json.loads(text) if text else None

    return send


def png(color, size=4):
    file = io.BytesIO()
    Image.new("RGB", (size, size), color).save(file, "PNG")
    return file.getvalue()


def build(gain):
    """Embeds an image as its mean colour less 0.4; `gain` 0 is blind to it."""
    head = keras.layers.Dense(3)
    image_encoder = keras.Sequential(
        [keras.Input((4, 4, 3)), keras.layers.GlobalAveragePooling2D(), head]
    )
    head.kernel.assign(gain * np.eye(3))
    head.bias.assign(np.full(3, -0.4 * gain) if gain else [1.0, 0.5, 0.2])
    words = ["[PAD]", "[UNK]", "[START]", "[END]", *COLORS]
    return DualEncoder(
        image_encoder,
        TextEncoder(len(words), 4, embedding_dim=3, num_layers=0, projection_dim=3),
        Preprocessor(words, sequence_length=4, image_size=(4, 4)),
    )


@pytest.fixture(scope="session")
def make_png():
    return png


@pytest.fixture(scope="session")
def make_model():
    return build


@pytest.fixture(scope="session")
def paths(tmp_path_factory):
    """Three pictures, each of one colour, by the names that the toy returns."""
    folder = tmp_path_factory.mktemp("colors")
    for name, color in COLORS.items():
        (folder / f"{name}.png").write_bytes(png(color))
    return {f"{name}.png": str(folder / f"{name}.png") for name in COLORS}


@pytest.fixture(scope="session")
def lab(paths):
    keras.utils.set_random_seed(0)
    return AttackLab({"open": build(1.0), "blind": build(0.0)}, paths, num_steps=2)
