import asyncio
import contextlib

from aiohttp import web

_SECONDS_BETWEEN_LOOKS = 0.02


class Connections:
    """Knows which HTTP connections have a request at work, and closes them without a loss.

    Args:
        health: `Health`, which knows whether the server is about to stop.
    """

    def __init__(self, health):
        self._health = health
        self._busy = set()

    @web.middleware
    async def watch(self, request, handler):
        """Keeps a connection open until its request is answered, as a middleware of `aiohttp.web`.

        It sends the answer too: aiohttp would do so later, for as long as the client reads.
        """
        self._busy.add(request.protocol)
        try:
            response = await handler(request)
            if self._health.is_draining:
                response.force_close()
            # Who has hung up gets none.
            with contextlib.suppress(ConnectionError):
                await response.prepare(request)
                await response.write_eof()
        finally:
            self._busy.discard(request.protocol)
        return response

    async def drain(self, server, end):
        """Closes idle connections at once, and others when their request is answered.

        Args:
            server: The `aiohttp.web.Server`.
            end: Float, until when to wait, by the clock of the event loop.

        Returns:
            Boolean, whether all are closed.
        """
        loop = asyncio.get_running_loop()
        # aiohttp's own way out would drop what is still to come of a body, or of an answer.
        while server.connections and loop.time() < end:
            for connection in server.connections:
                if connection not in self._busy:
                    connection.force_close()
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
        return not server.connections
