import asyncio
import logging
import signal

from aiohttp import web

from rocmr_keras.serving import rpc
from rocmr_keras.serving.admission import Admission
from rocmr_keras.serving.rest import MAX_BYTES
from rocmr_keras.serving.rest import RestApi
from rocmr_keras.serving.rest import answer_errors

logger = logging.getLogger(__name__)


class Server:
    """Serves a model's versions over TensorFlow Serving's gRPC and REST protocols.

    One event loop holds the connections, a few threads run the model. A client of
    `tensorflow_model_server` works unchanged with `Predict`, `GetModelMetadata`,
    `GetModelStatus` and their REST forms. It authenticates nobody and encrypts nothing:
    keep it on the loopback address, or behind something that does.

    Args:
        versions: `ModelVersions`.
        host: String, the address to bind. Defaults to `"127.0.0.1"`.
        port: Integer, for gRPC; `0` picks one. Defaults to `8500`.
        rest_api_port: Integer, for REST and the page; `0` picks one. Defaults to `8501`.
        admission: `Admission`, how many requests of what size are taken in and run at the
            same time, or `None` for its defaults. Defaults to `None`.
        page: `Page`, or `None` for none. Defaults to `None`.
        poll_seconds: Float, seconds between looks for a new version; `0` for none.
            Defaults to `2.0`.
        grace_seconds: Float, how long `stop` waits for requests at work. Defaults to `10.0`.

    Attributes:
        port: Integer, the port of gRPC, known after `start`.
        rest_api_port: Integer, the port of REST, known after `start`.

    Raises:
        OSError: From `start`, if a port is taken.

    Example:

    ```python
    versions = ModelVersions("rocmr", "serving/rocmr")
    Server(versions).run()  # until SIGTERM or Control-C
    ```
    """

    def __init__(
        self,
        versions,
        host="127.0.0.1",
        port=8500,
        rest_api_port=8501,
        admission=None,
        page=None,
        poll_seconds=2.0,
        grace_seconds=10.0,
    ):
        self.versions = versions
        self.host = host
        self.port = port
        self.rest_api_port = rest_api_port
        self.admission = Admission() if admission is None else admission
        self.page = page
        self.poll_seconds = poll_seconds
        self.grace_seconds = grace_seconds

    def run(self):
        """Serves until SIGTERM or SIGINT, then answers what is at work and returns."""
        asyncio.run(self._run())

    async def start(self):
        """Binds both ports and begins to serve."""
        self._rpc = rpc.build_server(self.versions, self.admission)
        try:
            self.port = self._rpc.add_insecure_port(_address(self.host, self.port))
        except RuntimeError as error:
            raise OSError(f"Port {self.port} of {self.host} cannot be bound: {error}") from error
        self._runner = web.AppRunner(
            self._application(), access_log=None, shutdown_timeout=self.grace_seconds
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.rest_api_port, backlog=1024).start()
        self.rest_api_port = self._runner.addresses[0][1]
        await self._rpc.start()
        self._poll = asyncio.create_task(self._look_for_versions())
        logger.info(
            "gRPC on %s, REST on http://%s",
            _address(self.host, self.port),
            _address(self.host, self.rest_api_port),
        )

    async def stop(self):
        """Takes no more requests, and waits for those at work."""
        self._poll.cancel()
        await asyncio.gather(self._rpc.stop(self.grace_seconds), self._runner.cleanup())
        self.admission.close()

    async def _run(self):
        stopped, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        await self.start()
        await stopped.wait()
        logger.info("Stopping")
        await self.stop()

    def _application(self):
        app = web.Application(client_max_size=self.admission.max_bytes, middlewares=[answer_errors])
        app[MAX_BYTES] = self.admission.max_bytes
        RestApi(self.versions, self.admission).add_to(app)
        if self.page is not None:
            self.page.add_to(app)
        return app

    async def _look_for_versions(self):
        while self.poll_seconds:
            await asyncio.sleep(self.poll_seconds)
            await asyncio.to_thread(self.versions.refresh)


def _address(host, port):
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
