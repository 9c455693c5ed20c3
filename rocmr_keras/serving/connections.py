import asyncio

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
        """Keeps a connection open while it has a request, as a middleware of `aiohttp.web`."""
        self._busy.add(request.protocol)
        try:
            response = await handler(request)
        finally:
            # The answer is handed to the socket before another task runs.
            self._busy.discard(request.protocol)
        if self._health.is_draining:
            response.force_close()
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
        # aiohttp's own way out would drop what is still to come of a body.
        while _open(server) and loop.time() < end:
            for connection in _open(server):
                if connection not in self._busy:
                    connection.force_close()
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
        return not _open(server)


def _open(server):
    # Some still wait for what a client sends after it was refused.
    return [connection for connection in server.connections if connection.transport]
