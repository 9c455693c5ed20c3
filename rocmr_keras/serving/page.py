import asyncio
import base64
import concurrent.futures
import hashlib
import json
import pathlib
import re

from aiohttp import web

from rocmr_keras.serving import attack_lab
from rocmr_keras.serving.bodies import BODIES
from rocmr_keras.serving.request_error import RequestError

_MAX_WAITING = 8
_NUM_PICTURES = 12
_NUM_EXAMPLES = 4
_EXAMPLES = ["a red apple", "a dog", "the sea"]
_OFF = "Attack is off: this server was started without models to attack (--attack_models)."


class Page:
    """The page to look at: search, and what a small perturbation does to each model.

    One HTML file without anything from elsewhere. It searches through the REST interface,
    as any client does.

    Args:
        versions: `ModelVersions`.
        thumbnails: `Thumbnails`, or `None` to show names only. Defaults to `None`.
        lab: `AttackLab`, or `None` for a page without attacks. Defaults to `None`.
    """

    def __init__(self, versions, thumbnails=None, lab=None):
        self.versions = versions
        self.thumbnails = thumbnails
        self.lab = lab
        self._html = pathlib.Path(__file__).with_name("page.html").read_bytes()
        self._headers = {
            "Content-Security-Policy": _policy(self._html.decode()),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
        # Attacks take seconds: one at a time, beside the threads that answer clients.
        self._executor = concurrent.futures.ThreadPoolExecutor(1, "attack")
        self._waiting = 0

    def add_to(self, app):
        """Adds the routes to an `aiohttp.web.Application`."""
        app.router.add_get("/", self._show)
        app.router.add_get("/page/settings", self._settings)
        app.router.add_get("/thumbnails/{name:.+}", self._thumbnail)
        app.router.add_post("/page/attack", self._attack)

    async def _show(self, _):
        return web.Response(
            body=self._html, content_type="text/html", charset="utf-8", headers=self._headers
        )

    async def _settings(self, _):
        servable = self.versions.get(self.versions.name)
        pictures = self.thumbnails.sample(_NUM_PICTURES) if self.thumbnails else []
        labels = self.thumbnails.labels if self.thumbnails else {}
        # What is shown below, so that the answer is known.
        captions = list(dict.fromkeys(labels[name] for name in pictures if name in labels))
        return web.json_response(
            {
                "model": self.versions.name,
                "version": servable.version,
                "signatures": sorted(servable.signature_defs),
                "has_thumbnails": self.thumbnails is not None,
                "labels": labels,
                "pictures": pictures,
                "num_pictures": len(self.thumbnails.paths) if self.thumbnails else 0,
                "examples": captions[:_NUM_EXAMPLES] or _EXAMPLES,
                "attack_models": self.lab.titles if self.lab else [],
                "attack_is_off": "" if self.lab else _OFF,
                "max_epsilon": attack_lab.MAX_EPSILON,
                "max_substitutions": attack_lab.MAX_SUBSTITUTIONS,
            }
        )

    async def _thumbnail(self, request):
        read = self.thumbnails.read if self.thumbnails else lambda name: None
        found = await asyncio.to_thread(read, request.match_info["name"])
        if found is None:
            raise RequestError("There is no picture of this name.", "NOT_FOUND")
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "max-age=3600"}
        return web.Response(body=found[0], content_type=found[1], headers=headers)

    async def _attack(self, request):
        if self.lab is None:
            raise RequestError(
                "This server was started without models to attack. Name them with --attack_models.",
                "UNIMPLEMENTED",
            )
        # A page from elsewhere cannot send this type without asking first.
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(reason="Send application/json")
        async with request.app[BODIES].read(request) as body:
            return web.json_response({"results": await self._wait_for(body)})

    async def _wait_for(self, body):
        if self._waiting >= _MAX_WAITING:
            raise RequestError("Others are attacking. Try again in a moment.", "UNAVAILABLE")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._executor, self._run, body)
        finally:
            self._waiting -= 1

    def _run(self, body):
        try:
            asked = json.loads(body)
            if "image" in asked:
                contents = base64.b64decode(asked["image"], validate=True)
                return self.lab.attack_image(contents, asked["epsilon"])
            return self.lab.attack_text(asked["text"], asked["num_substitutions"])
        except RequestError:
            raise
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise RequestError(
                "The body must be JSON with 'image' and 'epsilon', or 'text' and "
                f"'num_substitutions'. Received: {type(error).__name__}. See the page's source."
            ) from error


def _policy(html):
    """Allows the page's own script and style, and nothing from elsewhere."""
    script = re.search(r"<script>(.*?)</script>", html, re.S).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
