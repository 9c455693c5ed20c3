"""TensorFlow Serving's REST interface."""

import asyncio
import json
import logging
import re

from aiohttp import web
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2

from rocmr_keras.serving.json_tensors import read_predict
from rocmr_keras.serving.json_tensors import write_predict
from rocmr_keras.serving.request_error import RequestError
from rocmr_keras.serving.rpc import metadata
from rocmr_keras.serving.rpc import status

logger = logging.getLogger(__name__)

_MODEL = (
    r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d{1,18})|/labels/(?P<label>[^/:]+))?"
)
_PREDICT = re.compile(_MODEL + r":(?P<method>predict|classify|regress)")
_STATUS = re.compile(_MODEL + r"(?P<metadata>/metadata)?")
_BODY_SECONDS = 60

MAX_BYTES = web.AppKey("max_bytes", int)


class RestApi:
    """Answers `GET` of a model's status and metadata, and `POST ...:predict`.

    Args:
        versions: `ModelVersions`.
        admission: `Admission`.
    """

    def __init__(self, versions, admission):
        self.versions = versions
        self.admission = admission

    def add_to(self, app):
        """Adds the routes to an `aiohttp.web.Application`."""
        app.router.add_route("*", "/v1/{rest:.*}", self.handle)

    async def handle(self, request):
        predict, described = _PREDICT.fullmatch(request.path), _STATUS.fullmatch(request.path)
        if request.method == "POST" and predict:
            function, found = self._predict, predict
        elif request.method in ("GET", "HEAD") and described:
            function, found = self._describe, described
        else:
            raise RequestError(f"Malformed request: {request.method} {request.path}")
        parts = found.groupdict()
        with self.admission.place():
            body = await read_body(request)
            text = await self.admission.run(function, body, parts)
        return web.Response(body=text, content_type="application/json")

    def _predict(self, body, parts):
        servable = self.versions.get(parts["name"], _version(parts))
        if parts["method"] != "predict":
            raise RequestError(
                f"The method {parts['method']!r} is not offered. Use ':predict'.",
                "UNIMPLEMENTED",
            )
        name, inputs, is_row = read_predict(body, servable.signature)
        return write_predict(servable.run(name, inputs), is_row)

    def _describe(self, _, parts):
        name, version = parts["name"], _version(parts)
        if parts["metadata"] is None:
            return _dump(_plain(status(self.versions.states(name, version))))
        response = metadata(name, self.versions.get(name, version))
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        spec = _plain(response.model_spec)
        return _dump({"model_spec": spec, "metadata": {"signature_def": _plain(signatures)}})


@web.middleware
async def answer_errors(request, handler):
    """Answers every error in the shape of TensorFlow Serving, `{"error": "..."}`."""
    try:
        return await handler(request)
    except RequestError as error:
        code, message = error.http_status, error.message
    except web.HTTPException as error:
        code, message = error.status, error.reason
    except Exception:
        logger.exception("A request failed")
        code, message = 500, "internal error, see the server's log"
    return web.json_response({"error": message}, status=code)


async def read_body(request):
    """Returns the body of a request, if it arrives in time and is not too large."""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        error.set_status(413, f"The body must have at most {request.app[MAX_BYTES]:,} bytes")
        raise
    except TimeoutError as error:
        reason = f"The body must arrive within {_BODY_SECONDS} seconds"
        raise web.HTTPRequestTimeout(reason=reason) from error


def _version(parts):
    if parts["label"] is not None:
        raise RequestError(
            f"Unrecognized servable version label: {parts['label']}. "
            "Ask for a version by its number, or for the latest by none."
        )
    return None if parts["version"] is None else int(parts["version"])


def _plain(message):
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def _dump(value):
    return json.dumps(value, indent=1).encode()
