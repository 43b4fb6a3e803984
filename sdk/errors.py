"""What can go wrong with a call, one class per reason of the API's Status.

ApiError
├── BadRequest            400
├── Unauthorized          401
├── Forbidden             403
├── NotFound              404
├── MethodNotSupported    405 (not served, by name)
├── NotAcceptable         406
├── AlreadyExists         409
├── Conflict              409
├── Expired               410 (a revision or a page that is gone)
├── Gone                  410
├── TooLarge              413
├── UnsupportedMediaType  415
├── Invalid               422 (causes by field path)
│   └── ImmutableField    422 (every cause is a change of what may not change)
├── TooManyRequests       429 (retry_after_s)
├── InternalError         500
├── ServerTimeout         500 (not done in time, may be asked again)
├── StoreReadError        500
├── Unavailable           503
└── Timeout               504

On the wire an error is a gRPC code plus a google.rpc.Status detail that carries raftsman.meta.v1.Status; `REASONS` is
the one table of both. `from_rpc` reads it back. Every reason that Kubernetes knows has its class; one that it does not
know comes as ApiError with the reason in `status`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import grpc
from google.protobuf import any_pb2
from raftsman.meta import v1 as meta

DETAILS_KEY = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing wrong with one field. `reason`: Kubernetes' FieldValue… word; `field`: a path, spec.ports[0]."""

    field: str
    reason: str
    message: str


class ApiError(Exception):
    """A call that the API answered with a failure. `status` is the whole answer."""

    reason = "Unknown"
    code = 500
    grpc_code = grpc.StatusCode.UNKNOWN

    def __init__(self, message: str, *, status: meta.Status | None = None, causes: tuple[Cause, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.causes = causes
        self.status = status or self._status(message, causes)

    def _status(self, message: str, causes: tuple[Cause, ...]) -> meta.Status:
        status = meta.Status(status="Failure", message=message, reason=self.reason, code=self.code)
        for cause in causes:
            status.details.causes.add(reason=cause.reason, message=cause.message, field=cause.field)
        return status

    @property
    def retry_after_s(self) -> int:
        """How long the server asks to wait; 0 if it does not."""
        return self.status.details.retry_after_seconds

    def to_details(self) -> bytes:
        """The serialised google.rpc.Status for the trailing metadata `grpc-status-details-bin`."""
        from google.rpc import status_pb2

        detail = any_pb2.Any()
        detail.Pack(self.status)
        status = status_pb2.Status(code=self.grpc_code.value[0], message=self.message, details=[detail])
        return bytes(status.SerializeToString())


class BadRequest(ApiError):
    reason, code, grpc_code = "BadRequest", 400, grpc.StatusCode.INVALID_ARGUMENT


class Unauthorized(ApiError):
    reason, code, grpc_code = "Unauthorized", 401, grpc.StatusCode.UNAUTHENTICATED


class Forbidden(ApiError):
    reason, code, grpc_code = "Forbidden", 403, grpc.StatusCode.PERMISSION_DENIED


class NotFound(ApiError):
    reason, code, grpc_code = "NotFound", 404, grpc.StatusCode.NOT_FOUND


class MethodNotSupported(ApiError):
    reason, code, grpc_code = "MethodNotAllowed", 405, grpc.StatusCode.UNIMPLEMENTED


class AlreadyExists(ApiError):
    reason, code, grpc_code = "AlreadyExists", 409, grpc.StatusCode.ALREADY_EXISTS


class Conflict(ApiError):
    reason, code, grpc_code = "Conflict", 409, grpc.StatusCode.ABORTED


class NotAcceptable(ApiError):
    reason, code, grpc_code = "NotAcceptable", 406, grpc.StatusCode.INVALID_ARGUMENT


class Expired(ApiError):
    reason, code, grpc_code = "Expired", 410, grpc.StatusCode.OUT_OF_RANGE


class Gone(ApiError):
    reason, code, grpc_code = "Gone", 410, grpc.StatusCode.OUT_OF_RANGE


class TooLarge(ApiError):
    reason, code, grpc_code = "RequestEntityTooLarge", 413, grpc.StatusCode.INVALID_ARGUMENT


class UnsupportedMediaType(ApiError):
    reason, code, grpc_code = "UnsupportedMediaType", 415, grpc.StatusCode.INVALID_ARGUMENT


class Invalid(ApiError):
    reason, code, grpc_code = "Invalid", 422, grpc.StatusCode.INVALID_ARGUMENT


class ImmutableField(Invalid):
    """An update that changes what may not change: reason Invalid, gRPC code FAILED_PRECONDITION."""

    grpc_code = grpc.StatusCode.FAILED_PRECONDITION


class TooManyRequests(ApiError):
    reason, code, grpc_code = "TooManyRequests", 429, grpc.StatusCode.RESOURCE_EXHAUSTED


class InternalError(ApiError):
    reason, code, grpc_code = "InternalError", 500, grpc.StatusCode.INTERNAL


class ServerTimeout(ApiError):
    reason, code, grpc_code = "ServerTimeout", 500, grpc.StatusCode.DEADLINE_EXCEEDED


class StoreReadError(ApiError):
    reason, code, grpc_code = "StorageReadError", 500, grpc.StatusCode.DATA_LOSS


class Unavailable(ApiError):
    reason, code, grpc_code = "ServiceUnavailable", 503, grpc.StatusCode.UNAVAILABLE


class Timeout(ApiError):
    reason, code, grpc_code = "Timeout", 504, grpc.StatusCode.DEADLINE_EXCEEDED


CLASSES: tuple[type[ApiError], ...] = (
    BadRequest, Unauthorized, Forbidden, NotFound, MethodNotSupported, AlreadyExists, Conflict, Expired, Invalid,
    TooManyRequests, InternalError, Unavailable, Timeout, NotAcceptable, Gone, TooLarge, UnsupportedMediaType,
    ServerTimeout, StoreReadError,
)  # fmt: skip
REASONS = {cls.reason: cls for cls in CLASSES}
_BY_CODE = {cls.grpc_code: cls for cls in reversed(CLASSES)}


def from_status(status: meta.Status) -> ApiError:
    """The exception of a Status."""
    cls = REASONS.get(status.reason, ApiError)
    causes = tuple(Cause(c.field, c.reason, c.message) for c in status.details.causes)
    return cls(status.message, status=status, causes=causes)


def from_rpc(error: grpc.RpcError) -> ApiError:
    """The exception of a failed call: by the Status it carries, else by its gRPC code."""
    for key, value in cast("tuple[tuple[str, str | bytes], ...]", error.trailing_metadata() or ()):
        if key == DETAILS_KEY:
            found = _packed_status(value if isinstance(value, bytes) else value.encode())
            if found is not None:
                return _immutable(error, from_status(found))
    cls = _BY_CODE.get(error.code(), ApiError)
    return cls(error.details() or str(error.code()))


def _immutable(error: grpc.RpcError, found: ApiError) -> ApiError:
    """Two classes share the reason Invalid; the gRPC code tells them apart."""
    if type(found) is Invalid and error.code() is ImmutableField.grpc_code:
        return ImmutableField(found.message, status=found.status, causes=found.causes)
    return found


def _packed_status(details: bytes) -> meta.Status | None:
    from google.rpc import status_pb2

    for detail in status_pb2.Status.FromString(details).details:
        if detail.Is(meta.Status.DESCRIPTOR):
            status = meta.Status()
            detail.Unpack(status)
            return status
    return None
