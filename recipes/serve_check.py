r"""Loads a running server with requests over many connections, and with garbage.

    python recipes/serve.py --model_base_path=serving &
    python recipes/serve_check.py --model_base_path=serving --pid=$!

sends 10,000 REST requests over 256 connections, compares each answer with what the SavedModel says
in this process, then sends garbage, and prints how many were lost or differed, the requests a
second, and the server's memory before and after. Loopback only. With

    python recipes/serve_check.py --model_base_path=serving --pid=$! --new_version=other/1

it sends requests over gRPC instead, whose answers name their version, while that SavedModel appears
as the next version, and prints how many each version answered as it does in this process.
"""

import asyncio
import collections
import gzip
import os
import pathlib
import time

import aiohttp
import changeover
import numpy as np
from absl import app
from absl import flags

from rocmr_keras import serving

FLAGS = flags.FLAGS

flags.DEFINE_string("model_name", "rocmr", "Name of the model.")
flags.DEFINE_string("model_base_path", None, "Folder of the version folders.", required=True)
flags.DEFINE_integer("rest_api_port", 8501, "Of the server.")
flags.DEFINE_integer("port", 8500, "Of the server's gRPC.")
flags.DEFINE_string("new_version", None, "SavedModel that appears while requests run.")
flags.DEFINE_integer("pid", None, "Process of the server, whose memory is read.", required=True)
flags.DEFINE_integer("requests", 10_000, "Requests of each of the two rounds.")
flags.DEFINE_integer("connections", 256, "Kept open at the same time.")
flags.DEFINE_string("signature", "search_by_text", "What is asked for.")

TEXTS = ["red apple", "dog", "", " ", "שלום", "🍎" * 9, "a " * 1000]
GARBAGE = (
    b"",
    b"{",
    b"\xff" * 1000,
    b"[" * 10**6,
    b"0" * (2**26),
    b'{"instances": [{"b64": "%%%"}]}',
    b'{"signature_name": "search_by_image", "inputs": {"images": [{"b64": "AAAA"}], "k": 1}}',
    gzip.compress(b"0" * 2**28),
)


def resident_megabytes():
    pages = int(pathlib.Path(f"/proc/{FLAGS.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def expected():
    """Returns what the SavedModel answers to each text in this process."""
    servable = serving.ModelVersions(FLAGS.model_name, FLAGS.model_base_path).get(FLAGS.model_name)
    k = {"k": np.int32(5)} if FLAGS.signature.startswith("search") else {}
    texts = [np.array([text.encode()], object) for text in TEXTS]
    return [servable.run(FLAGS.signature, {"texts": text, **k}) for text in texts], k


def agrees(answer, truth):
    """Integers and names to the letter, floats to 1e-5: a thread may add in another order."""
    outputs = answer["outputs"]
    outputs = outputs if isinstance(outputs, dict) else {name: outputs for name in truth}
    for name, array in truth.items():
        if array.dtype.kind == "f":
            same = np.allclose(outputs[name], array, atol=1e-5)
        else:
            plain = [[v.decode() if isinstance(v, bytes) else int(v) for v in row] for row in array]
            same = outputs[name] == plain
        if not same:
            return False
    return True


async def load(session, url, truths, k):
    counts, numbers = collections.Counter(), iter(range(FLAGS.requests))
    extra = {name: int(value) for name, value in k.items()}

    async def client():
        for number in numbers:
            which = number % len(TEXTS)
            inputs = {"texts": [TEXTS[which]], **extra}
            body = {"signature_name": FLAGS.signature, "inputs": inputs}
            try:
                async with session.post(url, json=body) as response:
                    same = response.status == 200 and agrees(await response.json(), truths[which])
                    counts["same" if same else f"differs, status {response.status}"] += 1
            except (aiohttp.ClientError, TimeoutError) as error:
                counts[f"lost: {type(error).__name__}"] += 1

    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(FLAGS.connections)))
    return dict(counts), FLAGS.requests / (time.perf_counter() - start)


async def send_garbage(session, url):
    statuses = []
    for body in GARBAGE:
        headers = {"Content-Encoding": "gzip"} if body[:2] == b"\x1f\x8b" else {}
        try:
            async with session.post(url, data=body, headers=headers) as response:
                statuses.append(response.status)
        except aiohttp.ClientError as error:
            statuses.append(type(error).__name__)
    return statuses


async def check(truths, k):
    url = f"http://127.0.0.1:{FLAGS.rest_api_port}/v1/models/{FLAGS.model_name}:predict"
    connector = aiohttp.TCPConnector(limit=FLAGS.connections)
    timeout = aiohttp.ClientTimeout(total=600)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        for round_ in ("warm-up", "measured"):
            before = resident_megabytes()
            counts, rate = await load(session, url, truths, k)
            print(f"{round_}: {counts}, {rate:.0f} requests/s")
            after = resident_megabytes()
            print(f"memory {before:.0f} -> {after:.0f} MB ({100 * (after / before - 1):+.1f} %)")
        print("garbage:", await send_garbage(session, url))
        counts, _ = await load(session, url, truths, k)
        print(f"after garbage: {counts}, {resident_megabytes():.0f} MB")


def change_over():
    texts = [text for text in TEXTS if text.strip()]
    change = changeover.Changeover(
        f"127.0.0.1:{FLAGS.port}",
        FLAGS.model_name,
        FLAGS.model_base_path,
        FLAGS.new_version,
        FLAGS.signature,
        texts,
    )
    start, before = time.perf_counter(), resident_megabytes()
    counts = asyncio.run(change.run(FLAGS.requests, FLAGS.connections))
    rate = sum(counts.values()) / (time.perf_counter() - start)
    print(f"version {change.new} appeared after a third: {counts}, {rate:.0f} requests/s")
    print(f"slowest {change.slowest:.2f} s, memory {before:.0f} -> {resident_megabytes():.0f} MB")


def main(_):
    if FLAGS.new_version:
        change_over()
    else:
        asyncio.run(check(*expected()))


if __name__ == "__main__":
    app.run(main)
