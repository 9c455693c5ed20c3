import asyncio
import concurrent.futures
import contextlib

from rocmr_keras.serving.bodies import Bodies
from rocmr_keras.serving.request_error import RequestError


class Admission:
    """Runs requests on a few threads, and turns away what would wait in too long a line.

    However many connections there are, no more than `num_threads` requests run and no more
    than `max_waiting` wait for it. A request takes its place when its body is there.

    Args:
        num_threads: Integer, requests that run at the same time. Defaults to `2`.
        max_waiting: Integer, requests taken in and not yet answered; more are refused
            as `UNAVAILABLE`. Defaults to `1024`.
        bodies: `Bodies`, how large requests may be, or `None` for its defaults. Defaults to
            `None`.

    Attributes:
        num_admitted: Integer, requests taken in and not yet answered, now.
    """

    def __init__(self, num_threads=2, max_waiting=1024, bodies=None):
        for name, value in {"num_threads": num_threads, "max_waiting": max_waiting}.items():
            if value < 1:
                raise ValueError(
                    f"`{name}` must be at least 1. Received: {name}={value}. "
                    "Threads are as many as cores, usually."
                )
        self.max_waiting = max_waiting
        self.bodies = Bodies() if bodies is None else bodies
        self.num_admitted = 0
        self._executor = concurrent.futures.ThreadPoolExecutor(num_threads, "serving")

    @contextlib.contextmanager
    def place(self):
        """Holds a place in the line, or raises `RequestError` if there is none."""
        if self.num_admitted >= self.max_waiting:
            raise RequestError(
                f"The server has {self.max_waiting} requests waiting. Try again later.",
                "UNAVAILABLE",
            )
        self.num_admitted += 1
        try:
            yield
        finally:
            self.num_admitted -= 1

    async def run(self, function, *arguments):
        """Runs a function on one of the threads, in the order of asking."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, function, *arguments)

    def close(self):
        """Drops what has not begun. What runs goes on, for a model cannot be interrupted."""
        self._executor.shutdown(wait=False, cancel_futures=True)
