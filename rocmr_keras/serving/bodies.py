import asyncio
import contextlib

from aiohttp import web

from rocmr_keras.serving.request_error import RequestError

BODIES = web.AppKey("bodies", object)


class Bodies:
    """Reads the bodies of HTTP requests, bounded in time and in bytes of all together.

    A body that does not arrive holds no place of `Admission`. Where the bodies that are in
    memory, arriving or waiting, would take more than `max_total_bytes`, those arriving that
    have been silent for longest give way, so that bodies that stall shut nobody out.

    Args:
        max_bytes: Integer, the largest body, decompressed. Defaults to 32 MiB.
        max_total_bytes: Integer, of all bodies. Defaults to 256 MiB.
        seconds: Float, in which a body must have arrived. Defaults to `60.0`.

    Attributes:
        num_bytes: Integer, of all bodies in memory, now.
    """

    def __init__(self, max_bytes=2**25, max_total_bytes=2**28, seconds=60.0):
        limits = {"max_bytes": max_bytes, "max_total_bytes": max_total_bytes, "seconds": seconds}
        for name, value in limits.items():
            if value <= 0:
                raise ValueError(
                    f"`{name}` must be above 0. Received: {name}={value}. "
                    "The defaults are 32 MiB, 256 MiB and a minute."
                )
        self.max_bytes = max_bytes
        self.max_total_bytes = max_total_bytes
        self.seconds = seconds
        self.num_bytes = 0
        # By the clock of each: the first has been silent for longest.
        self._arriving = {}

    @contextlib.asynccontextmanager
    async def read(self, request):
        """Gives the body of a request, which counts as in memory until the block ends.

        Raises:
            RequestError: If there is no room for it.
            aiohttp.web.HTTPException: If it is too large, broken or late.
        """
        body = bytearray()
        try:
            await self._receive(request, body)
            yield body
        finally:
            self.num_bytes -= len(body)

    async def _receive(self, request, body):
        clock = asyncio.timeout(self.seconds)
        try:
            async with clock:
                self._arriving[clock] = body
                while chunk := await request.content.readany():
                    self._add(chunk, body, clock)
        except TimeoutError as error:
            if clock not in self._arriving:
                raise _full() from error
            reason = f"The body must arrive within {self.seconds:g} seconds"
            raise web.HTTPRequestTimeout(reason=reason) from error
        except web.RequestPayloadError as error:
            reason = "The body must be what its headers say. Received: a broken body"
            raise web.HTTPBadRequest(reason=reason) from error
        finally:
            self._arriving.pop(clock, None)

    def _add(self, chunk, body, clock):
        if self._arriving.pop(clock, None) is None:
            raise _full()
        if len(body) + len(chunk) > self.max_bytes:
            reason = f"The body must have at most {self.max_bytes:,} bytes"
            raise web.HTTPRequestEntityTooLarge(self.max_bytes, len(body), reason=reason)
        self._make_room(len(chunk))
        body += chunk
        self.num_bytes += len(chunk)
        self._arriving[clock] = body

    def _make_room(self, needed):
        while self.num_bytes + needed > self.max_total_bytes:
            silent = next((clock for clock, body in self._arriving.items() if body), None)
            if silent is None:
                raise _full()
            body = self._arriving.pop(silent)
            self.num_bytes -= len(body)
            body.clear()
            # Ends the wait of the other request for its next piece, now.
            silent.reschedule(asyncio.get_running_loop().time())


def _full():
    return RequestError(
        "The server has no room for more bodies, and this one was slow. Try again later.",
        "UNAVAILABLE",
    )
