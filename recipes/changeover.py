"""A version that appears while requests run: what `serve_check.py --new_version` looks at."""

import asyncio
import collections
import os
import pathlib
import shutil
import time

import grpc
import numpy as np
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

from rocmr_keras import serving

_STRING, _INT32 = 7, 3
_LONGEST_WAIT = 500
_MAX_CHANNELS = 64


class Changeover:
    """Asks a running server over gRPC, whose answers name their version.

    Args:
        address: String, host and port of gRPC.
        name: String, the model's name.
        base_path: Path of the folder of version folders, of which the highest is served.
        new_version: Path of a SavedModel, which is copied there as the next version.
        signature: String, with an input `texts`, and `k` where it searches.
        texts: List of strings, asked for in turn.
    """

    def __init__(self, address, name, base_path, new_version, signature, texts):
        self.address, self.name, self.signature = address, name, signature
        self.base_path, self.new_version = pathlib.Path(base_path), new_version
        self.old = max(int(path.name) for path in self.base_path.iterdir() if path.name.isdecimal())
        self.new = self.old + 1
        paths = {self.old: self.base_path / str(self.old), self.new: new_version}
        self.truths = {
            version: self._run_offline(serving.Servable(path, version), texts)
            for version, path in paths.items()
        }
        self._messages = [self._message(text) for text in texts]
        self.counts, self.slowest = collections.Counter(), 0.0

    async def run(self, requests, connections):
        """Sends a third, lets the version appear, and sends until it has answered a third.

        Args:
            requests: Integer, sent at least.
            connections: Integer, requests that run at the same time.

        Returns:
            Dict of counts: answers of each version that equal its own, offline; others by what
            was wrong.
        """
        options = [("grpc.use_local_subchannel_pool", 1)]
        channels = [
            grpc.aio.insecure_channel(self.address, options)
            for _ in range(min(connections, _MAX_CHANNELS))
        ]
        ends = time.monotonic() + _LONGEST_WAIT
        numbers = self._numbers(requests, ends)
        clients = [
            self._client(channels[place % len(channels)], numbers) for place in range(connections)
        ]
        await asyncio.gather(self._appear(requests, ends), *clients)
        await asyncio.gather(*(channel.close() for channel in channels))
        return dict(self.counts)

    def _numbers(self, requests, ends):
        number = 0
        while number < requests or self.counts[f"version {self.new}"] < requests / 3:
            if time.monotonic() > ends:
                break
            yield number
            number += 1

    async def _appear(self, requests, ends):
        while sum(self.counts.values()) < requests / 3 and time.monotonic() < ends:
            await asyncio.sleep(0.01)
        part = self.base_path / f".{self.new}"
        await asyncio.to_thread(shutil.copytree, self.new_version, part)
        # Whole or not at all.
        os.rename(part, self.base_path / str(self.new))

    async def _client(self, channel, numbers):
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        for number in numbers:
            which = number % len(self._messages)
            start = time.perf_counter()
            try:
                answer = await stub.Predict(self._messages[which], timeout=60)
                self.counts[self._judge(answer, which)] += 1
            except grpc.aio.AioRpcError as error:
                self.counts[f"lost: {error.code().name}"] += 1
            self.slowest = max(self.slowest, time.perf_counter() - start)

    def _judge(self, answer, which):
        version = answer.model_spec.version.value
        truth = self.truths.get(version)
        same = truth is not None and agrees(answer.outputs, truth[which])
        return f"version {version}" if same else f"version {version}, differs"

    def _run_offline(self, servable, texts):
        k = {"k": np.int32(5)} if self.signature.startswith("search") else {}
        arrays = [np.array([text.encode()], object) for text in texts]
        return [servable.run(self.signature, {"texts": array, **k}) for array in arrays]

    def _message(self, text):
        message = predict_pb2.PredictRequest()
        message.model_spec.name, message.model_spec.signature_name = self.name, self.signature
        texts = message.inputs["texts"]
        texts.dtype = _STRING
        texts.tensor_shape.dim.add(size=1)
        texts.string_val.append(text.encode())
        if self.signature.startswith("search"):
            message.inputs["k"].dtype = _INT32
            message.inputs["k"].int_val.append(5)
        return message


def agrees(protos, truth):
    """Names and integers to the letter, floats to 1e-5: a thread may add in another order."""
    for name, array in truth.items():
        proto, wanted = protos[name], array.ravel().tolist()
        if array.dtype.kind == "f":
            same = np.allclose(proto.float_val, wanted, atol=1e-5)
        else:
            same = list(proto.string_val or proto.int64_val) == wanted
        if not same or [dim.size for dim in proto.tensor_shape.dim] != list(array.shape):
            return False
    return True
