"""Whether a server lives, is ready and how it does, for machines that look after it."""

import asyncio
import contextlib

from aiohttp import web
from grpc_health.v1 import health
from grpc_health.v1 import health_pb2
from grpc_health.v1 import health_pb2_grpc

SERVICES = ("", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")

_Status = health_pb2.HealthCheckResponse


class Health:
    """Answers `/healthz`, `/readyz`, `/metrics` and the gRPC health service.

    `/healthz` is 200 while the process lives. `/readyz` is 200 while each model has a version
    that is available, and 503 else and from the beginning of a stop on. The gRPC service
    says SERVING and NOT_SERVING likewise, of `""` and of each service by its name.

    Args:
        versions: `ModelVersions`.
        telemetry: `Telemetry`.

    Attributes:
        is_draining: Boolean, whether the server is about to stop.
        is_refusing: Boolean, whether new gRPC calls are refused.

    Reference:
        - [gRPC health checking](https://github.com/grpc/grpc/blob/master/doc/health-checking.md)
    """

    def __init__(self, versions, telemetry):
        self.versions = versions
        self.telemetry = telemetry
        self.is_draining = False
        self.is_refusing = False
        self._servicer = _HealthServicer()

    def add_to(self, app):
        """Adds the routes to an `aiohttp.web.Application`."""
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)

    async def add_to_rpc(self, server):
        """Adds the service to a `grpc.aio.Server`."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)
        await self.refresh()

    async def refresh(self):
        """Tells the gRPC service what is ready now."""
        status = _Status.SERVING if self.is_ready() else _Status.NOT_SERVING
        for service in SERVICES:
            await self._servicer.set(service, status)

    def is_ready(self):
        """Returns whether requests are welcome."""
        return bool(self.versions.available()) and not self.is_draining

    async def drain(self):
        """Says to all who ask or watch that the server is about to stop."""
        self.is_draining = True
        await self._servicer.enter_graceful_shutdown()

    def close(self):
        """Ends the calls of those who watch, which would else hold up the stop."""
        self._servicer.stopped.set()

    async def _healthz(self, _):
        return web.json_response({"status": "alive"})

    async def _readyz(self, _):
        available = self.versions.available()
        content = {
            "status": "draining" if self.is_draining else "ready" if available else "no version",
            "models": {self.versions.name: available},
        }
        return web.json_response(content, status=200 if self.is_ready() else 503)

    async def _metrics(self, _):
        text, content_type = self.telemetry.write()
        return web.Response(body=text, headers={"Content-Type": content_type})


class _HealthServicer(health.aio.HealthServicer):
    """The standard service, whose `Watch` ends when the server stops."""

    def __init__(self):
        super().__init__()
        self.stopped = asyncio.Event()

    async def Watch(self, request, context):
        watch = asyncio.create_task(super().Watch(request, context))
        stopped = asyncio.create_task(self.stopped.wait())
        try:
            await asyncio.wait({watch, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watch.cancel()
            stopped.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
