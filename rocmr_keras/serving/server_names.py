import re

from aiohttp import web

_NAME = re.compile(r"[\w.-]+|[0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F:]*")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(?::\d+)?")


class ServerNames:
    """Knows under which names a server may be asked, and refuses others with status 421.

    A page on the web can let its own name point to the loopback address, and its script then
    asks a server there as if it were the page's own (DNS rebinding). The browser still sends
    the page's name in `Host`, which tells. A gRPC client is no browser and is not asked.

    Args:
        host: String, the address that is bound. Where it stands for all addresses
            (`"0.0.0.0"`, `"::"`), that of the connection is allowed.
        names: Sequence of strings, further names without a port, such as
            `"search.example.org"`. Defaults to none.

    Raises:
        ValueError: If a name has a port, a scheme or a path.

    Reference:
        - [RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#status.421), section 15.5.20
    """

    def __init__(self, host, names=()):
        for name in names:
            if not _NAME.fullmatch(name):
                raise ValueError(
                    "`server_names` must be names without scheme, port and path. "
                    f"Received: {name!r}. Write for example search.example.org."
                )
        self._names = {_plain(name) for name in (host, *names)}

    @web.middleware
    async def check(self, request, handler):
        """Hands on what asks for this server, as a middleware of `aiohttp.web`."""
        received = request.headers.getall("Host", [])
        if len(received) != 1 or not self._knows(received[0], request.transport):
            shown = ", ".join(received)[:100] or "none"
            raise web.HTTPMisdirectedRequest(
                reason=f"The host must be one of this server's names. Received: {shown}. Ask for "
                "the address that it is bound to, or start it with this name in --server_names."
            )
        return await handler(request)

    def _knows(self, received, transport):
        found = _HOST.fullmatch(received.lower())
        if found is None:
            return False
        name = _plain(found[1])
        address = transport.get_extra_info("sockname") if transport else None
        is_local = name in ("localhost", "127.0.0.1", "::1") or name.endswith(".localhost")
        return is_local or name in self._names or bool(address) and name == address[0]


def _plain(name):
    return name.lower().strip("[]").rstrip(".")
