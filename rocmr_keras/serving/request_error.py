"""Why a request is refused: gRPC's status codes and their HTTP statuses."""

_MAX_LENGTH = 2000

HTTP_STATUS = {
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}


class RequestError(ValueError):
    """A request that is answered with an error, over gRPC and REST alike.

    Args:
        message: String, what the client is told, cut at 2000 characters: it may repeat
            what the client sent.
        code: String, the name of a gRPC status code. Defaults to `"INVALID_ARGUMENT"`.

    Attributes:
        http_status: Integer, the HTTP status that TensorFlow Serving gives this code.

    Reference:
        - [TensorFlow Serving](https://github.com/tensorflow/serving), `util/net_http` and
          `model_servers/http_server.cc`: the table from codes to statuses
    """

    def __init__(self, message, code="INVALID_ARGUMENT"):
        self.message = message[:_MAX_LENGTH]
        super().__init__(self.message)
        self.code = code
        self.http_status = HTTP_STATUS[code]
