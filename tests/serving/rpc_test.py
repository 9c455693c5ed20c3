"""The stock stubs of TensorFlow Serving are the client."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2
from tensorflow_serving.apis import get_model_metadata_pb2
from tensorflow_serving.apis import get_model_status_pb2
from tensorflow_serving.apis import model_service_pb2_grpc
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield channel


@pytest.fixture(scope="module")
def stub(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def request(signature="search_by_text", model="toy", version=None, **inputs):
    message = predict_pb2.PredictRequest()
    message.model_spec.name = model
    message.model_spec.signature_name = signature
    if version is not None:
        message.model_spec.version.value = version
    for name, value in inputs.items():
        message.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return message


def test_predict(stub):
    answer = stub.Predict(request(texts=["ab", ""], k=2), timeout=30)
    assert tf.make_ndarray(answer.outputs["ids"]).tolist() == [[7, 8], [7, 8]]
    # Clients read the fields directly.
    assert list(answer.outputs["scores"].float_val) == [-2, -3, 0, -1]
    assert list(answer.outputs["names"].string_val) == [b"red.png", b"green.png"] * 2
    spec = answer.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("toy", 3, "search_by_text")


def test_default_signature_version_and_filter(stub):
    message = request("", version=3, texts=["ab"])
    message.output_filter.append("embeddings")
    answer = stub.Predict(message, timeout=30)
    assert tf.make_ndarray(answer.outputs["embeddings"]).tolist() == [[2, 1]]
    assert answer.model_spec.signature_name == "serving_default"


def test_every_type_comes_back(stub):
    message = request(
        "mix", x=np.float32([[1, 2]]), half=np.float16(0.5), flag=True, count=np.int64([-3])
    )
    outputs = stub.Predict(message, timeout=30).outputs
    assert tf.make_ndarray(outputs["total"]) == 3.5
    assert tf.make_ndarray(outputs["half"]) == np.float16(0.5)
    assert tf.make_ndarray(outputs["twice"]).tolist() == [-6]
    assert tf.make_ndarray(outputs["flag"])


def fails(call, message, code=grpc.StatusCode.INVALID_ARGUMENT):
    with pytest.raises(grpc.RpcError) as caught:
        call(message, timeout=30)
    assert caught.value.code() == code
    return caught.value.details()


@pytest.mark.parametrize(
    ("message", "details"),
    [
        (request(texts=["a"], k=2.0), "'k' must be int32[]. Received: float32[]"),
        (request(texts="a", k=2), "'texts' must be string[?]. Received: string[]"),
        (request(texts=["a"]), "Missing but required: ['k']"),
        (request(texts=["a"], k=2, more=1), "Sent extra: ['more']"),
        (request("sing", texts=["a"]), '"sing" not found'),
        (request(texts=["a"], k=0), "k must be 1 or more"),
        (request(model="", texts=["a"], k=1), "must name a model"),
    ],
)
def test_bad_input(stub, message, details):
    assert details in fails(stub.Predict, message)
    assert stub.Predict(request(texts=["a"], k=1), timeout=30).outputs


def test_error_does_not_grow_with_the_request(stub):
    details = fails(stub.Predict, request(texts=["a"], **{"x" * 100_000: 1}))
    assert "Inputs must be those of the signature" in details and len(details) == 2000


def test_unknown_model_and_version(stub):
    missing = grpc.StatusCode.NOT_FOUND
    details = fails(stub.Predict, request(model="other", texts=["a"]), missing)
    assert "Servable not found for request: Latest(other)" in details
    details = fails(stub.Predict, request(version=9, texts=["a"], k=1), missing)
    assert "Specific(toy, 9)" in details
    labelled = request(texts=["a"], k=1)
    labelled.model_spec.version_label = "stable"
    assert "label: stable" in fails(stub.Predict, labelled)


@pytest.mark.parametrize("sizes", [[2**40], [-1], [1] * 40, [2**62, 2**62]])
def test_shape_that_lies(stub, sizes):
    message = request(texts=["a"], k=1)
    proto = message.inputs["k"]
    proto.tensor_shape.CopyFrom(tf.TensorShape([]).as_proto())
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    assert "Input 'k' must" in fails(stub.Predict, message)


@pytest.mark.parametrize("dtype", [0, 20, 21, 999])
def test_type_that_no_client_can_send(stub, dtype):
    message = request(texts=["a"], k=1)
    message.inputs["k"].dtype = dtype
    assert "Input 'k' must" in fails(stub.Predict, message)


def test_message_that_is_cut_off(channel, stub):
    whole = request(texts=["a red apple"], k=1).SerializeToString()
    call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    assert "Error parsing message" in fails(call, whole[:-3], grpc.StatusCode.UNKNOWN)
    assert stub.Predict(request(texts=["a"], k=1), timeout=30).outputs


def test_message_that_is_too_large(stub):
    message = request(texts=["a" * 2**21], k=1)
    fails(stub.Predict, message, grpc.StatusCode.RESOURCE_EXHAUSTED)


def test_metadata(stub):
    message = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    message.model_spec.name = "toy"
    answer = stub.GetModelMetadata(message, timeout=30)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    answer.metadata["signature_def"].Unpack(signatures)
    inputs = signatures.signature_def["search_by_text"].inputs
    assert {name: info.dtype for name, info in inputs.items()} == {"texts": 7, "k": 3}
    assert answer.model_spec.version.value == 3
    message.metadata_field[:] = ["weather"]
    assert "must be ['signature_def']" in fails(stub.GetModelMetadata, message)


def test_status(channel):
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    message = get_model_status_pb2.GetModelStatusRequest()
    message.model_spec.name = "toy"
    (entry,) = stub.GetModelStatus(message, timeout=30).model_version_status
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert (entry.version, entry.state, entry.status.error_code) == (3, available, 0)
    message.model_spec.name = "other"
    assert "Could not find" in fails(stub.GetModelStatus, message, grpc.StatusCode.NOT_FOUND)


def test_the_rest_is_not_implemented(stub):
    message = classification_pb2.ClassificationRequest()
    fails(stub.Classify, message, grpc.StatusCode.UNIMPLEMENTED)
