"""TensorFlow Serving's REST interface."""

import json
import logging
import re

from aiohttp import web
from aiohttp.http import HttpProcessingError
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2

from rocmr_keras.serving.bodies import BODIES
from rocmr_keras.serving.json_tensors import read_predict
from rocmr_keras.serving.json_tensors import write_predict
from rocmr_keras.serving.request_error import RequestError
from rocmr_keras.serving.rpc import metadata
from rocmr_keras.serving.rpc import status
from rocmr_keras.serving.servable import DEFAULT_SIGNATURE

logger = logging.getLogger(__name__)

_MODEL = (
    r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d{1,18})|/labels/(?P<label>[^/:]+))?"
)
_PREDICT = re.compile(_MODEL + r":(?P<method>predict|classify|regress)")
_STATUS = re.compile(_MODEL + r"(?P<metadata>/metadata)?")


class RestApi:
    """Answers `GET` of a model's status and metadata, and `POST ...:predict`.

    Args:
        versions: `ModelVersions`.
        admission: `Admission`.
        telemetry: `Telemetry`.
    """

    def __init__(self, versions, admission, telemetry):
        self.versions = versions
        self.admission = admission
        self.telemetry = telemetry

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
        async with request.app[BODIES].read(request) as body:
            with self.admission.place():
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
        outputs = servable.run(name, inputs)
        self.telemetry.batch(name or DEFAULT_SIGNATURE, inputs)
        return write_predict(outputs, is_row)

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
    async def observe(self, request, handler):
        """Counts and times every request, those to other routes too."""
        finish = self.telemetry.request("rest", request.remote)
        response = await handler(request)
        finish(_route(request), str(response.status))
        return response


@web.middleware
async def answer_errors(request, handler):
    """Answers every error in the shape of TensorFlow Serving, `{"error": "..."}`."""
    try:
        response = await handler(request)
        return response if request.transport else _hung_up(request)
    except ConnectionError:
        return _hung_up(request)
    except RequestError as error:
        code, message = error.http_status, error.message
    except web.HTTPException as error:
        code, message = error.status, error.reason
    except Exception:
        logger.exception("A request failed")
        code, message = 500, "internal error, see the server's log"
    return web.json_response({"error": message}, status=code)


def in_one_line(record):
    """Shortens what aiohttp logs of a client that breaks HTTP, as a filter."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, (web.RequestPayloadError, HttpProcessingError)):
        reason = " ".join(str(error).split())[:200]
        record.msg, record.args = "%s: %s", (type(error).__name__, reason)
        record.exc_info, record.levelno, record.levelname = None, logging.INFO, "INFO"
    return True


def _route(request):
    """Returns one of a few names: a path may be whatever the client likes."""
    predict, described = _PREDICT.fullmatch(request.path), _STATUS.fullmatch(request.path)
    if predict:
        return predict["method"]
    if described:
        return "metadata" if described["metadata"] else "status"
    resource = request.match_info.route.resource
    return resource.canonical if resource else "none"


def _hung_up(request):
    logger.info("%s hung up before its answer", request.remote)
    return web.Response(status=499)


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
