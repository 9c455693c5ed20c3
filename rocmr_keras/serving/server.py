import asyncio
import concurrent.futures
import logging
import signal

from aiohttp import web

from rocmr_keras.serving import rpc
from rocmr_keras.serving.admission import Admission
from rocmr_keras.serving.bodies import BODIES
from rocmr_keras.serving.connections import Connections
from rocmr_keras.serving.health import Health
from rocmr_keras.serving.rest import RestApi
from rocmr_keras.serving.rest import answer_errors
from rocmr_keras.serving.rest import in_one_line
from rocmr_keras.serving.server_names import ServerNames
from rocmr_keras.serving.telemetry import Telemetry

logger = logging.getLogger(__name__)
http_logger = logging.getLogger("rocmr_keras.serving.http")
http_logger.addFilter(in_one_line)

_LISTENING_SECONDS = 0.2
_REFUSING_SECONDS = 0.2
_LAST_SECONDS = 0.1
_SECONDS_BETWEEN_LOOKS = 0.02


class Server:
    """Serves a model's versions over TensorFlow Serving's gRPC and REST protocols.

    One event loop holds the connections, a few threads run the model. A client of
    `tensorflow_model_server` works unchanged with `Predict`, `GetModelMetadata`,
    `GetModelStatus` and their REST forms. `Health` has what machines ask it, `Telemetry` the
    metrics and the access log. It authenticates nobody and encrypts nothing: keep it on the
    loopback address, or behind something that does.

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
        server_names: Sequence of strings, further names under which REST and the page may be
            asked, beside `host` and those of the loopback address: a request for another name
            gets status 421. Defaults to none.

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
        server_names=(),
    ):
        self.versions = versions
        self.host = host
        self.port = port
        self.rest_api_port = rest_api_port
        self.admission = Admission() if admission is None else admission
        self.page = page
        self.poll_seconds = poll_seconds
        self._names = ServerNames(host, server_names)
        self._telemetry = Telemetry(versions, self.admission)

    def run(self, grace_seconds=10.0):
        """Serves until SIGTERM or SIGINT, then answers what is at work and returns.

        Args:
            grace_seconds: Float, the longest wait for requests at work. Defaults to `10.0`.

        Returns:
            Boolean, whether all of them were answered; threads of those given up still run.
        """
        return asyncio.run(self._run(grace_seconds))

    async def start(self):
        """Binds both ports and begins to serve."""
        self._health = Health(self.versions, self._telemetry)
        self._connections = Connections(self._health)
        self._rpc = rpc.build_server(self.versions, self.admission, self._telemetry, self._health)
        await self._health.add_to_rpc(self._rpc)
        try:
            self.port = self._rpc.add_insecure_port(_address(self.host, self.port))
        except RuntimeError as error:
            raise OSError(f"Port {self.port} of {self.host} cannot be bound: {error}") from error
        options = {"logger": http_logger, "access_log": None, "shutdown_timeout": _LAST_SECONDS}
        self._runner = web.AppRunner(self._application(), **options)
        await self._runner.setup()
        self._listener = await asyncio.get_running_loop().create_server(
            self._runner.server, self.host, self.rest_api_port, backlog=1024
        )
        self.rest_api_port = self._listener.sockets[0].getsockname()[1]
        await self._rpc.start()
        # Its own thread: the loop would wait for one of its own at the end.
        self._loader = concurrent.futures.ThreadPoolExecutor(1, "loading")
        self._poll = asyncio.create_task(self._look_for_versions())
        logger.info(
            "gRPC on %s, REST on http://%s",
            _address(self.host, self.port),
            _address(self.host, self.rest_api_port),
        )

    async def stop(self, grace_seconds=10.0):
        """Takes no more connections, and waits for requests at work.

        Idle connections are closed at once, which is a fifth of a second: what clients have
        sent until then is on its way and is answered too.

        Args:
            grace_seconds: Float, the longest wait. Defaults to `10.0`.

        Returns:
            Boolean, whether all requests were answered.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + grace_seconds
        self._poll.cancel()
        await self._health.drain()
        for listening in self._listener.sockets:
            loop.remove_reader(listening)
        # A connection that was accepted in this turn of the loop joins the server in the next one;
        # if that were closed by then, it would stay open and never be read.
        await asyncio.sleep(0)
        self._listener.close()
        await asyncio.sleep(min(_LISTENING_SECONDS, grace_seconds))
        self._health.close()
        is_done, _ = await asyncio.gather(
            self._connections.drain(self._runner.server, end), self._stop_rpc(end)
        )
        # gRPC waits to the end only where it has to give up.
        is_done = is_done and loop.time() < end
        await self._runner.cleanup()
        self.admission.close()
        self._loader.shutdown(wait=False)
        return is_done

    async def _stop_rpc(self, end):
        # gRPC cancels what arrives in the moment of a stop, and clients cannot know whether a
        # call that was cancelled was run. What is refused they may send again, elsewhere. So
        # all are told before: who has just got an answer may ask once more.
        loop = asyncio.get_running_loop()
        self._health.is_refusing = True
        while self.admission.num_admitted and loop.time() < end:
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
        await asyncio.sleep(min(_REFUSING_SECONDS, max(end - loop.time(), 0)))
        await self._rpc.stop(max(end - loop.time(), 0))

    async def _run(self, grace_seconds):
        stopped, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        await self.start()
        await stopped.wait()
        logger.info("Stopping: answering what is at work, for at most %g s", grace_seconds)
        is_done = await self.stop(grace_seconds)
        logger.info("Stopped: %s", "all answered" if is_done else "some requests were given up")
        return is_done

    def _application(self):
        api = RestApi(self.versions, self.admission, self._telemetry)
        steps = [self._connections.watch, api.observe, answer_errors, self._names.check]
        app = web.Application(middlewares=steps)
        app[BODIES] = self.admission.bodies
        for part in (api, self._health, self.page):
            if part is not None:
                part.add_to(app)
        return app

    async def _look_for_versions(self):
        loop = asyncio.get_running_loop()
        while self.poll_seconds:
            await asyncio.sleep(self.poll_seconds)
            await loop.run_in_executor(self._loader, self.versions.refresh)


def _address(host, port):
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
