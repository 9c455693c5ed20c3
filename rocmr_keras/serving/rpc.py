"""TensorFlow Serving's gRPC services."""

import asyncio
import logging

import grpc
from google.protobuf import wrappers_pb2
from tensorflow_serving.apis import get_model_metadata_pb2
from tensorflow_serving.apis import get_model_status_pb2
from tensorflow_serving.apis import model_pb2
from tensorflow_serving.apis import model_service_pb2_grpc
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

from rocmr_keras.serving.request_error import RequestError
from rocmr_keras.serving.servable import DEFAULT_SIGNATURE
from rocmr_keras.serving.tensor_protos import to_array
from rocmr_keras.serving.tensor_protos import to_proto

logger = logging.getLogger(__name__)


def build_server(versions, admission, telemetry, health):
    """Builds the server of `PredictionService` and `ModelService`, not yet bound to a port.

    `Predict`, `GetModelMetadata` and `GetModelStatus` are answered; the rest is
    `UNIMPLEMENTED`.

    Args:
        versions: `ModelVersions`.
        admission: `Admission`.
        telemetry: `Telemetry`.
        health: `Health`, which knows whether calls are refused.

    Returns:
        A `grpc.aio.Server`.
    """
    options = [
        ("grpc.max_receive_message_length", admission.bodies.max_bytes),
        ("grpc.max_send_message_length", -1),
        # A second server on the same port must fail, not share the clients.
        ("grpc.so_reuseport", 0),
    ]
    server = grpc.aio.server(options=options)
    parts = versions, admission, telemetry, health
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(*parts), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(*parts), server)
    return server


class _Service:
    """Runs a function of a request in the line of `Admission`, and tells what came of it."""

    def __init__(self, versions, admission, telemetry, health):
        self.versions = versions
        self.admission = admission
        self.telemetry = telemetry
        self.health = health

    async def _answer(self, route, function, request, context):
        finish, code = self.telemetry.request("grpc", context.peer()), "OK"
        try:
            if self.health.is_refusing:
                raise RequestError("The server stops. Ask another, or later.", "UNAVAILABLE")
            with self.admission.place():
                return await self.admission.run(function, request)
        except RequestError as error:
            code, message = error.code, error.message
        except asyncio.CancelledError:
            code = "CANCELLED"
            logger.info("%s hung up, or was given up, before its answer", context.peer())
            raise
        except Exception:
            logger.exception("A request failed")
            code, message = "INTERNAL", "internal error, see the server's log"
        finally:
            finish(route, code)
        await context.abort(grpc.StatusCode[code], message)


class PredictionService(_Service, prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers `Predict` and `GetModelMetadata`."""

    async def Predict(self, request, context):
        return await self._answer("Predict", self._predict, request, context)

    async def GetModelMetadata(self, request, context):
        return await self._answer("GetModelMetadata", self._metadata, request, context)

    def _predict(self, request):
        spec = request.model_spec
        servable = self.versions.get(spec.name, _version(spec))
        arrays = {
            name: to_array(proto, name, 4 * self.admission.bodies.max_bytes)
            for name, proto in request.inputs.items()
        }
        signature = spec.signature_name or DEFAULT_SIGNATURE
        outputs = servable.run(signature, arrays, request.output_filter)
        self.telemetry.batch(signature, arrays)
        return predict_pb2.PredictResponse(
            model_spec=_spec(spec.name, servable, signature),
            outputs={name: to_proto(array) for name, array in outputs.items()},
        )

    def _metadata(self, request):
        fields = list(request.metadata_field)
        if fields != ["signature_def"]:
            raise RequestError(
                f"'metadata_field' must be ['signature_def']. Received: {fields}. "
                "Ask for the signatures, the only metadata there is."
            )
        servable = self.versions.get(request.model_spec.name, _version(request.model_spec))
        return metadata(request.model_spec.name, servable)


class ModelService(_Service, model_service_pb2_grpc.ModelServiceServicer):
    """Answers `GetModelStatus`."""

    async def GetModelStatus(self, request, context):
        return await self._answer("GetModelStatus", self._status, request, context)

    def _status(self, request):
        spec = request.model_spec
        return status(self.versions.states(spec.name, _version(spec)))


def metadata(name, servable):
    """Returns the `GetModelMetadataResponse` of a servable."""
    signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=servable.signature_defs)
    response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=_spec(name, servable))
    response.metadata["signature_def"].Pack(signatures)
    return response


def status(states):
    """Returns the `GetModelStatusResponse` of what `ModelVersions.states` lists."""
    response = get_model_status_pb2.GetModelStatusResponse()
    for version, state, message in states:
        entry = response.model_version_status.add(version=version, state=state)
        entry.status.error_code = grpc.StatusCode.UNKNOWN.value[0] if message else 0
        entry.status.error_message = message
    return response


def _spec(name, servable, signature_name=""):
    version = wrappers_pb2.Int64Value(value=servable.version)
    return model_pb2.ModelSpec(name=name, version=version, signature_name=signature_name)


def _version(spec):
    if not spec.name:
        raise RequestError("Missing ModelSpec: the request must name a model.")
    if spec.version_label:
        raise RequestError(
            f"Unrecognized servable version label: {spec.version_label}. "
            "Ask for a version by its number, or for the latest by none."
        )
    return spec.version.value if spec.HasField("version") else None
